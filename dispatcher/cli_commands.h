// SPDX-License-Identifier: MIT
// The commands of workpool-dispatcher, one cli_*.cpp each. Every command states its flags once, as a
// CommandTable, from which its parser, its help, its page of the manual and its completion follow.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/flags.h"
#include "common/base/program_names.h"
#include "common/io/console.h"
#include "dispatcher/command_line.h"

namespace workpool::dispatcher {

// A command line whose command is known. All of it outlives the parser.
struct Invocation {
  const ProgramNames& names;
  const std::vector<std::string>& arguments;  // after the command
  const Environment& environment;
  Console& console;
};

struct Command {
  std::string_view name;
  std::string_view usage;    // of the list of commands
  std::string_view summary;  // one line
  // For help, manual and completion: nothing may be set through this table.
  CommandTable (*describe)(const ProgramNames& names);
  CommandLine (*parse)(const Invocation& given);
};

// In the order in which help shows them.
const std::vector<Command>& commands();

CommandTable describe_run(const ProgramNames& names);
CommandTable describe_each(const ProgramNames& names);
CommandTable describe_check(const ProgramNames& names);
CommandTable describe_verify(const ProgramNames& names);
CommandTable describe_show(const ProgramNames& names);
CommandTable describe_status(const ProgramNames& names);
CommandTable describe_keygen(const ProgramNames& names);
CommandLine parse_run(const Invocation& given);
CommandLine parse_each(const Invocation& given);
CommandLine parse_check(const Invocation& given);
CommandLine parse_verify(const Invocation& given);
CommandLine parse_show(const Invocation& given);
CommandLine parse_status(const Invocation& given);
CommandLine parse_keygen(const Invocation& given);

// As run_table, for a command.
std::optional<ExitCode> read_command(const CommandTable& table, const Invocation& given);

// The flags of `run`, which `each` has too.
std::vector<Flag> run_flags(RunOptions& options);

// Checks what concerns several flags, and where results go. `wrong`: what is wrong already, or "".
CommandLine finish_run(RunOptions options, std::string wrong, const CommandTable& table,
                       const Invocation& given);

}  // namespace workpool::dispatcher
