// SPDX-License-Identifier: MIT
// `workpool-dispatcher run`: checks JOBS, opens RESULTS, and runs what is left to the end. Everything here is
// put together once, in the order in which things may fail.
#pragma once

#include <string>
#include <vector>

#include "common/base/exit_code.h"
#include "common/io/console.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// `command`: argv as given. Returns the exit code, after all messages have been printed.
ExitCode run(const RunOptions& options, const std::vector<std::string>& command, Console& console);

}  // namespace workpool::dispatcher
