// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>
#include <vector>

#include "dispatcher/cli_commands.h"
#include "dispatcher/cli_values.h"

namespace workpool::dispatcher {

namespace {

constexpr const char* kShowEpilogue =
    R"(IDs and patterns are those of jobs; :12 and :12-20 are lines of the jobs file, and 12 is line 12 if
no job has that id.

Examples:
  workpool-dispatcher show out.jsonl                    a row for each job, in order of the jobs file
  workpool-dispatcher show out.jsonl --failed --stderr  what the jobs that are not ok complained about
  workpool-dispatcher show out.jsonl :12 'sim-*' --stdout
  workpool-dispatcher show out.jsonl --csv --stdout > table.csv
  workpool-dispatcher show out.jsonl --status timeout --json | jq .run_ms
On a terminal rows have a header and are cut at its width; elsewhere they have tabs between line, id,
status, exit, run time in seconds, worker, attempts and command, and `-` for what is missing.

Exit codes: 0 shown; 1 RESULTS cannot be read or is no results file, or has no result of a job that
was named; 2 wrong usage; 71 the system refuses memory or files; 74 the answer cannot be written to
stdout; 130/143 stopped by a signal.
)";

Setter set_statuses(std::vector<Status>& target) {
  return [&target](const std::string& value) -> std::string {
    target.clear();
    for (std::size_t at = 0; at <= value.size();) {
      const std::size_t end = std::min(value.find(',', at), value.size());
      const auto status = status_named(value.substr(at, end - at));
      if (!status)
        return "is none of ok, failed, timeout, quarantined, invalid, or several with commas between";
      target.push_back(*status);
      at = end + 1;
    }
    return "";
  };
}

std::vector<Flag> output_flags(ShowOptions& options) {
  return {
      {"failed", 0, "", "only jobs that are not ok", "", set_switch(options.failed)},
      {"status", 0, "S",
       "only jobs with this status: ok, failed, timeout, quarantined or invalid; several with commas "
       "between",
       "", set_statuses(options.statuses)},
      {"stdout", 0, "", "print what commands wrote to stdout, as it was, instead of rows", "",
       set_switch(options.standard_output)},
      {"stderr", 0, "", "print what commands wrote to stderr, after --stdout of the same job", "",
       set_switch(options.standard_error)},
      {"value", 0, "", "print what handlers returned, a line of JSON each", "", set_switch(options.value)},
      {"tag", 0, "",
       "with --stdout, --stderr and --value: put the job's id, its inputs or its line, and a tab, before "
       "each line",
       "", set_switch(options.tag)},
      {"csv", 0, "",
       "print comma-separated values with a header; --stdout, --stderr and --value add a column each", "",
       set_switch(options.csv)},
      {"json", 0, "", "print the result lines that count, as they are", "", set_switch(options.json)},
      {"stats", 0, "", "print how many jobs there are and how long they ran, by status and by worker", "",
       set_switch(options.stats)},
      {"no-jobs", 0, "", "do not read the jobs file, from which the commands come", "",
       set_switch(options.no_jobs)},
      format_flag(options.format),
  };
}

CommandTable table_of(ShowOptions& options, const ProgramNames& names) {
  const Setter add_wanted = [&options](const std::string& value) -> std::string {
    if (value.empty()) return "is empty";
    options.wanted.push_back(value);
    return "";
  };
  std::vector<Flag> flags = output_flags(options);
  for (Flag& flag : default_flags(options.defaults)) flags.push_back(std::move(flag));
  return {
      names.dispatcher + " show",
      "RESULTS [ID|PATTERN|:LINE]... [flags]",
      "Shows what jobs printed and how they ended, from the file of run's -o; also while the run goes on. "
      "Without IDs or patterns it shows all jobs. Changes nothing.",
      {{"RESULTS", set_text(options.results)}, {"ID", add_wanted, false, true}},
      without_variables(std::move(flags)),
      with_names(kShowEpilogue, names)};
}

// What is wrong with flags together; "" if nothing is.
std::string fault_of(const ShowOptions& options) {
  if (options.results == "-") {
    return "RESULTS is `-`: show reads a results file more than once, so it cannot be a pipe; save it first";
  }
  if (options.csv + options.json + options.stats > 1) return "--csv, --json and --stats: give one of them";
  if (options.shows_content() && options.json)
    return "--json prints whole results: --stdout, --stderr and --value do not go with it";
  if (options.shows_content() && options.stats)
    return "--stats prints numbers: --stdout, --stderr and --value do not go with it";
  if (options.tag && (!options.shows_content() || options.csv))
    return "--tag marks the lines of --stdout, --stderr and --value: give one of them, without --csv";
  return "";
}

}  // namespace

CommandTable describe_show(const ProgramNames& names) {
  ShowOptions none;
  return table_of(none, names);
}

CommandLine parse_show(const Invocation& given) {
  ShowOptions options;
  const CommandTable table = table_of(options, given.names);
  if (const auto code = read_command(table, given)) return *code;
  if (const std::string wrong = fault_of(options); !wrong.empty()) {
    given.console.line(table.program + ": " + wrong + " (see --help)");
    return ExitCode::kUsage;
  }
  return options;
}

}  // namespace workpool::dispatcher
