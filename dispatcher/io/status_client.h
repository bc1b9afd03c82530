// SPDX-License-Identifier: MIT
// `workpool-dispatcher status`: asks a running dispatcher over its registration port.
#pragma once

#include "common/base/exit_code.h"
#include "common/io/console.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// Prints the answer to stdout: as it came with --json, else as text. Returns kOk; kNotAllOk if none came
// within 5 s or stdout cannot be written.
ExitCode ask_status(const StatusOptions& options, Console& console);

}  // namespace workpool::dispatcher
