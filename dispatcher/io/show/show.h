// SPDX-License-Identifier: MIT
// `show RESULTS`: what jobs printed and how they ended. Takes no lock and changes nothing, so it also works
// while a run goes on.
#pragma once

#include "common/base/exit_code.h"
#include "common/io/console.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// kOk: shown, also if stdout was closed before the end; kNotAllOk: RESULTS cannot be read or is none, or has
// nothing for one that was named; kResultsFailed: stdout cannot be written.
ExitCode show(const ShowOptions& options, Console& console);

}  // namespace workpool::dispatcher
