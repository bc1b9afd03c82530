// SPDX-License-Identifier: MIT
// The command line of workpool-worker (docs/reference.md, "Flags"): from argv and environment to checked
// options.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/base/exit_code.h"
#include "common/base/flags.h"
#include "common/base/program_names.h"
#include "common/io/console.h"
#include "worker/options.h"

namespace workpool::worker {

// An exit code if there is nothing left to do after printing: kOk (help, version), kUsage, kUnsafe.
using CommandLine = std::variant<WorkerOptions, ExitCode>;

// `arguments`: argv without the program's name. Help goes to stdout, errors to the console. An ADDRESS whose
// host is a name is not judged here: refusal_to_dial (common/base/address.h) is asked once it has resolved.
CommandLine parse_command_line(const std::vector<std::string>& arguments, const Environment& environment,
                               Console& console, const ProgramNames& names = {}, const OwnCode& own = {});

}  // namespace workpool::worker
