// SPDX-License-Identifier: MIT
// Reads argv as a CommandTable says, with CLI11, which only flag_reader.cpp includes (it takes ten seconds to
// compile). Values stay text here; common/base/flags judges them, so values from the environment are treated
// the same and messages name the flag.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/exit_code.h"
#include "common/base/flags.h"
#include "common/io/console.h"

namespace workpool {

// Reads and applies the flags; prints help, version or an error. `arguments`: without the program's (and the
// command's) name. Returns nullopt if the options are set and the program goes on, else its exit code: kOk
// after --help and --version (kResultsFailed if stdout takes no text), kUsage after an error.
std::optional<ExitCode> run_table(const CommandTable& table, const std::vector<std::string>& arguments,
                                  const Environment& environment, Console& console);

// Writes help to stdout. Returns false if that takes no text.
bool print_help(std::string_view text);

// A variable of this process; null if it is not set.
const char* process_environment(const std::string& name);

}  // namespace workpool
