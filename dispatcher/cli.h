// SPDX-License-Identifier: MIT
// The command line of workpool-dispatcher (docs/reference.md, "Flags"): from argv and environment to checked
// options.
#pragma once

#include <string>
#include <vector>

#include "common/base/flags.h"
#include "common/base/program_names.h"
#include "common/io/console.h"
#include "dispatcher/command_line.h"

namespace workpool::dispatcher {

// `arguments`: argv without the program's name. Help goes to stdout, errors to the console. Looks at JOBS and
// RESULTS with stat but opens nothing: if JOBS is missing or is no file, its reader refuses it later (65).
CommandLine parse_command_line(const std::vector<std::string>& arguments, const Environment& environment,
                               Console& console, const ProgramNames& names = {});
// With the environment of the process, and the name that it was started under.
CommandLine parse_command_line(int argc, char** argv, Console& console);

}  // namespace workpool::dispatcher
