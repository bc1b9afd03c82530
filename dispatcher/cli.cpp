// SPDX-License-Identifier: MIT
#include "dispatcher/cli.h"

#include <sys/stat.h>

#include <algorithm>

#include "common/base/manual.h"
#include "common/base/text.h"
#include "common/io/flag_reader.h"
#include "dispatcher/cli_commands.h"

namespace workpool::dispatcher {

namespace {

constexpr std::size_t kUsageColumn = 28;  // of the list of commands: where the summaries start

constexpr const char* kExitCodes =
    R"(Exit codes: 0 all jobs ok; 1 some jobs not ok; 2 wrong usage; 65 bad jobs file; 71 cannot listen,
or the system refuses what a run needs, or the local worker cannot work; 73 results of another jobs
file; 74 results cannot be written; 75 results in use; 78 unsafe address; 130/143 stopped by a
signal with jobs left (the same command continues).
)";

std::string help(const ProgramNames& names) {
  std::string text = "usage: " + names.dispatcher +
                     " COMMAND [arguments]\n\n"
                     "Runs a jobs file on any number of machines and records every result.\n\n";
  const auto row = [&text](std::string_view left, std::string_view right) {
    text.append("  ").append(left);
    text.append(left.size() + 3 > kUsageColumn ? 1 : kUsageColumn - 2 - left.size(), ' ');
    text.append(right).append("\n");
  };
  for (const Command& command : commands()) row(command.usage, command.summary);
  const ProgramNames usual;
  if (names.worker != usual.worker) row("worker ADDRESS", "run jobs for the dispatcher at ADDRESS");
  text += "\n";
  row("COMMAND --help", "flags with their defaults, examples, exit codes");
  row("--completion SHELL", "print a script that completes commands and flags: bash, zsh, fish");
  row("--version", "print the version and exit");
  text += "\nExample: printf 'date\\nuname -a\\n' > jobs.txt && " + names.dispatcher + " run jobs.txt\n\n";
  return text + kExitCodes;
}

// For the page of the manual, which names the short name; the worker's part is printed by that program.
std::string manual() {
  const ProgramNames names = names_from("workpool");
  std::string page = manual_head("workpool", "run many jobs on many machines", WORKPOOL_VERSION);
  for (const Command& command : commands()) page += manual_section(command.describe(names));
  return page;
}

CommandLine print(const std::string& text) {
  return print_help(text) ? ExitCode::kOk : ExitCode::kResultsFailed;
}

CommandLine complete(const std::string& shell, const ProgramNames& names, Console& console) {
  std::vector<std::string_view> words;
  for (const Command& command : commands()) words.push_back(command.name);
  words.insert(words.end(), {"worker", "help"});
  const std::string script = completion_script(shell, words);
  if (!script.empty()) return print(script);
  console.line(names.dispatcher + ": --completion: '" + printable(shell, 200) +
               "' is none of bash, zsh, fish");
  return ExitCode::kUsage;
}

CommandLine refuse_command(const ProgramNames& names, const std::string& given, Console& console) {
  std::vector<std::string_view> known;
  std::string list;
  for (const Command& command : commands()) {
    if (!known.empty()) list += &command == &commands().back() ? " or " : ", ";
    list += command.name;
    known.push_back(command.name);
  }
  std::string message = names.dispatcher + ": unknown command '" + printable(given, 200) + "'";
  const std::string_view near = nearest(given, known.data(), known.size());
  struct stat info {};
  if (!given.empty() && given.front() == '-') {
    message = names.dispatcher + ": a command comes first: " + list;
  } else if (::stat(given.c_str(), &info) == 0) {
    message += "; did you mean run " + printable(given, 200) + "?";
  } else if (!near.empty()) {
    message += "; did you mean " + std::string(near) + "?";
  }
  console.line(message + " (see --help)");
  return ExitCode::kUsage;
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> all = {
      {"run", "run JOBS [-o RESULTS]", "run a jobs file (or - for stdin) to the end", describe_run,
       parse_run},
      {"each", "each COMMAND ::: VALUE...", "run a command for each of many values", describe_each,
       parse_each},
      {"check", "check JOBS", "validate a jobs file; lists errors as file:line:column", describe_check,
       parse_check},
      {"verify", "verify JOBS RESULTS", "prove that every job has exactly one result that counts",
       describe_verify, parse_verify},
      {"show", "show RESULTS [ID]...", "show what jobs printed and how they ended", describe_show,
       parse_show},
      {"status", "status [RESULTS|ADDRESS]", "show what a run is doing", describe_status, parse_status},
      {"keygen", "keygen FILE", "make keys, and let workers in and out", describe_keygen, parse_keygen},
  };
  return all;
}

std::optional<ExitCode> read_command(const CommandTable& table, const Invocation& given) {
  return run_table(table, given.arguments, given.environment, given.console);
}

CommandLine parse_command_line(const std::vector<std::string>& arguments, const Environment& environment,
                               Console& console, const ProgramNames& names) {
  if (arguments.empty()) {
    const std::string text = help(names);
    console.line(std::string_view(text).substr(0, text.size() - 1));
    return ExitCode::kUsage;
  }
  const std::string& given = arguments.front();
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  const auto command = std::find_if(commands().begin(), commands().end(),
                                    [&](const Command& entry) { return entry.name == given; });
  if (command != commands().end()) return command->parse({names, rest, environment, console});
  if (given == "--help" || given == "-h") return print(help(names));
  if (given == "--man") return print(manual());
  if (given == "--completion") return complete(rest.empty() ? "" : rest.front(), names, console);
  if (given == "--version") {
    return run_table({names.dispatcher, "", "", {}, {}, ""}, {given}, environment, console)
        .value_or(ExitCode::kOk);
  }
  return refuse_command(names, given, console);
}

CommandLine parse_command_line(int argc, char** argv, Console& console) {
  return parse_command_line(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc),
                            process_environment, console, names_from(argc > 0 ? argv[0] : ""));
}

}  // namespace workpool::dispatcher
