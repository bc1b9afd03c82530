// SPDX-License-Identifier: MIT
// `workpool-dispatcher run`: checks JOBS, opens RESULTS, and runs what is left to the end. Everything here is
// put together once, in the order in which things may fail.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/exit_code.h"
#include "common/io/console.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// `command`: argv as given. Returns the exit code, after all messages have been printed.
ExitCode run(const RunOptions& options, const std::vector<std::string>& command, Console& console);

// `given` if there is one, else by the ending of a regular file; a pipe has JSON lines.
JobsFormat format_of(const std::string& path, bool regular, const std::optional<JobsFormat>& given);

// `check JOBS`: kOk or kBadInput; kResultsFailed if the answer cannot be printed, kSystem if the system
// refuses something.
ExitCode check(const CheckOptions& options, Console& console);

}  // namespace workpool::dispatcher
