// SPDX-License-Identifier: MIT
// Why RESULTS cannot be used. Ends the program.
#pragma once

#include <string>

#include "common/base/exit_code.h"

namespace workpool::dispatcher {

// Thrown: one line for people, which names the file, the reason and what to do, and how the program exits.
struct StoreError {
  ExitCode exit_code = ExitCode::kResultsFailed;  // or kForeignResults, kResultsInUse, or a signal's
  std::string message;                            // empty if there is nothing to say
};

}  // namespace workpool::dispatcher
