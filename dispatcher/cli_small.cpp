// SPDX-License-Identifier: MIT
#include <sys/stat.h>

#include "common/base/address.h"
#include "dispatcher/cli_commands.h"
#include "dispatcher/cli_values.h"

namespace workpool::dispatcher {

namespace {

constexpr const char* kCheckEpilogue = R"(Example:
  workpool-dispatcher check jobs.jsonl

Exit codes: 0 every line is fine; 2 wrong usage; 65 the file has errors or cannot be read; 71 the
system refuses memory or files; 74 the answer cannot be written to stdout; 130/143 stopped by a
signal.
)";

constexpr const char* kVerifyEpilogue = R"(Example:
  workpool-dispatcher verify jobs.jsonl jobs.results.jsonl

Exit codes: 0 every job has a result; 1 some have none, or RESULTS cannot be read, or with --files a
file is missing or changed; 2 wrong usage; 65 the jobs file has errors or cannot be read; 71 the
system refuses memory or files; 74 the answer cannot be written to stdout; 130/143 stopped by a
signal.
)";

constexpr const char* kStatusEpilogue = R"(Examples:
  workpool-dispatcher status                       the runs of this user on this machine
  workpool-dispatcher status jobs.results.jsonl    a run that goes on here, or is over
  workpool-dispatcher status tcp://10.0.0.5:5555 --watch

Exit codes: 0 there is an answer; 1 there is none (a dispatcher has 5 s for it, or RESULTS cannot be
read); 2 wrong usage; 71 the system refuses memory or files; 74 the answer cannot be written to
stdout; 78 unsafe key file; 130/143 stopped by a signal.
)";

Flag json_flag(bool& target) {
  return {"json", 0, "", "print one JSON object instead of text", "", set_switch(target)};
}

CommandTable table_of(CheckOptions& options, const ProgramNames& names) {
  return {names.dispatcher + " check",
          "JOBS [flags]",
          "Validates a jobs file (or - for stdin) and lists errors as file:line:column. Runs nothing.",
          {{"JOBS", set_stream(options.jobs, 0)}},
          {format_flag(options.format), limit_flag(options.defaults), json_flag(options.json)},
          with_names(kCheckEpilogue, names)};
}

CommandTable table_of(VerifyOptions& options, const ProgramNames& names) {
  std::vector<Flag> flags = {format_flag(options.format), json_flag(options.json)};
  for (Flag& flag : without_variables(
           {{"files", 0, "",
             "also check the files that hold what jobs printed: that they are here, their size and digest",
             "", set_switch(options.files)}}))
    flags.push_back(std::move(flag));
  for (Flag& flag : default_flags(options.defaults)) flags.push_back(std::move(flag));
  return {names.dispatcher + " verify",
          "JOBS RESULTS [flags]",
          "Proves that every job has exactly one result that counts. Changes nothing.",
          {{"JOBS", set_text(options.jobs)}, {"RESULTS", set_text(options.results)}},
          std::move(flags),
          with_names(kVerifyEpilogue, names)};
}

CommandTable table_of(StatusOptions& options, const ProgramNames& names) {
  // HOST:PORT, which people write without its tcp://, unless a file is called so.
  const auto seems_address = [](const std::string& value) {
    const std::size_t colon = value.rfind(':');
    const bool port = colon != std::string::npos && colon + 1 < value.size() &&
                      value.find_first_not_of("0123456789", colon + 1) == std::string::npos;
    struct stat info {};
    return value.find("://") != std::string::npos || (port && ::stat(value.c_str(), &info) != 0);
  };
  const Setter set_target = [&options, seems_address](const std::string& value) -> std::string {
    const auto address = parse_address(value);
    if (!address || address->host == "*") {
      if (seems_address(value)) return "is not an address such as tcp://10.0.0.5:5555";
      options.path = value;
    } else {
      options.address = *address;
    }
    return "";
  };
  return {
      names.dispatcher + " status",
      "[RESULTS|ADDRESS] [flags]",
      "Shows what a run is doing, or has come to. RESULTS is the results file of a run, of this machine or "
      "not, and ADDRESS that of its --listen. Without either it shows the runs of this user on this "
      "machine, or else asks tcp://127.0.0.1:5555.",
      {{"RESULTS|ADDRESS", set_target, false}},
      {{"all", 0, "", "list all jobs that have run for over a second, not only the longest 20", "",
        set_switch(options.all)},
       {"key", 0, "FILE",
        "for a run elsewhere: a file with the key that its workers have, - for stdin; or set WORKPOOL_KEY",
        "",
        [&options](const std::string& value) -> std::string {
          options.key_file = value;
          return value.empty() ? "is empty: name a file" : "";
        },
        false, false, false},
       {"watch", 0, "", "show it again every 2 s until the run is over", "", set_switch(options.watch)},
       {"json", 0, "", "print one JSON object instead of text (a line for each run)", "",
        set_switch(options.json)}},
      with_names(kStatusEpilogue, names)};
}

template <class Options>
CommandTable describe(const ProgramNames& names) {
  Options none;
  return table_of(none, names);
}

template <class Options>
CommandLine parse(Options options, const Invocation& given) {
  const CommandTable table = table_of(options, given.names);
  if (const auto code = read_command(table, given)) return *code;
  return options;
}

}  // namespace

CommandTable describe_check(const ProgramNames& names) { return describe<CheckOptions>(names); }
CommandTable describe_verify(const ProgramNames& names) { return describe<VerifyOptions>(names); }
CommandTable describe_status(const ProgramNames& names) { return describe<StatusOptions>(names); }

CommandLine parse_check(const Invocation& given) { return parse(CheckOptions{}, given); }
CommandLine parse_verify(const Invocation& given) { return parse(VerifyOptions{}, given); }
CommandLine parse_status(const Invocation& given) { return parse(StatusOptions{}, given); }

}  // namespace workpool::dispatcher
