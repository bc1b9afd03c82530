// SPDX-License-Identifier: MIT
#include <algorithm>
#include <string>
#include <vector>

#include "common/base/units.h"
#include "common/formats/key_file.h"
#include "dispatcher/cli_commands.h"
#include "dispatcher/cli_values.h"

namespace workpool::dispatcher {

namespace {

constexpr const char* kKeygenEpilogue =
    R"(A join key is printed once: POOL.key keeps only its public half. Give it to the worker in the
variable WORKPOOL_KEY or in a file, never as an argument, which every user of a machine can read.

Examples:
  workpool-dispatcher keygen POOL.key                                  make the dispatcher's key
  workpool-dispatcher keygen POOL.key --worker node7 > node7.key       let a worker in
  workpool-dispatcher keygen POOL.key --worker guest --expires 8h      for eight hours
  workpool-dispatcher keygen POOL.key --revoke node7                   and out again
  workpool-dispatcher keygen POOL.key --list

Exit codes: 0 done; 1 there is such a file or name already, or no such name, and nothing was
changed; 2 wrong usage; 71 the system refuses memory or files; 74 the file, or the answer on stdout,
cannot be written; 78 the file is missing, unsafe or damaged; 130/143 stopped by a signal.
)";

Setter add_name(std::vector<std::string>& names) {
  return [&names](const std::string& value) -> std::string {
    if (std::string problem = key_name_problem(value); !problem.empty()) return problem;
    if (std::find(names.begin(), names.end(), value) != names.end()) return "is given twice";
    names.push_back(value);
    return "";
  };
}

Setter set_expiry(KeygenOptions& options) {
  return [&options](const std::string& value) -> std::string {
    options.expires = value == "inf" ? Duration::max() : parse_duration(value);
    if (!options.expires) return "is neither inf nor a duration such as 8h or 30d";
    if (*options.expires < seconds(1)) return "is less than 1s";
    return "";
  };
}

Setter set_path(KeygenOptions& options) {
  return [&options](const std::string& value) -> std::string {
    if (value.empty()) return "is empty";
    if (value == "-") return "is stdout, and keys need a file";
    options.path = value;
    return "";
  };
}

CommandTable table_of(KeygenOptions& options, const ProgramNames& names) {
  std::vector<Flag> flags = {
      {"worker", 0, "NAME",
       "add a key for a worker and print its join key on stdout; given several times: a line for each, NAME "
       "and key. Makes FILE if it is missing",
       "", add_name(options.added), true},
      {"revoke", 0, "NAME", "take out the key of a worker; can be given several times", "",
       add_name(options.revoked), true},
      {"expires", 0, "D",
       "how long the new keys of --worker are good or, without --worker, all keys of the file; inf for no "
       "limit",
       "inf", set_expiry(options)},
      {"list", 0, "", "list the workers, their fingerprints, and when their keys expire", "",
       set_switch(options.list)},
      {"json", 0, "", "with --list: print one JSON object instead of text", "", set_switch(options.json)}};
  return {
      names.dispatcher + " keygen",
      "FILE [flags]",
      "Makes the key file of a pool of workers, and lets workers in and out. Without flags it makes FILE, "
      "with the dispatcher's key and no workers.",
      {{"FILE", set_path(options)}},
      without_variables(std::move(flags)),
      with_names(kKeygenEpilogue, names)};
}

// What is wrong with flags together; "" if nothing is.
std::string fault_of(const KeygenOptions& options) {
  if (!options.added.empty() + !options.revoked.empty() + options.list > 1)
    return "--worker, --revoke and --list: give one of them";
  if (options.expires && (!options.revoked.empty() || options.list))
    return "--expires is for new keys, or for the whole file: it does not go with --revoke and --list";
  if (options.json && !options.list) return "--json goes with --list";
  return "";
}

}  // namespace

CommandTable describe_keygen(const ProgramNames& names) {
  KeygenOptions none;
  return table_of(none, names);
}

CommandLine parse_keygen(const Invocation& given) {
  KeygenOptions options;
  options.names = given.names;
  const CommandTable table = table_of(options, given.names);
  if (const auto code = read_command(table, given)) return *code;
  if (const std::string wrong = fault_of(options); !wrong.empty()) {
    given.console.line(table.program + ": " + wrong + " (see --help)");
    return ExitCode::kUsage;
  }
  return options;
}

}  // namespace workpool::dispatcher
