// SPDX-License-Identifier: MIT
// `workpool-dispatcher status`: what a run is doing, or has come to.
#pragma once

#include "common/base/exit_code.h"
#include "common/io/console.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// Prints the answer to stdout: as it came with --json, else as text. Returns kOk; kNotAllOk if there is none;
// kResultsFailed if stdout cannot be written.
ExitCode status(const StatusOptions& options, Console& console);

}  // namespace workpool::dispatcher
