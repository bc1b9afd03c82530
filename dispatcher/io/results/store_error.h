// SPDX-License-Identifier: MIT
// Why RESULTS cannot be used. Ends the program.
#pragma once

#include <string>

namespace workpool::dispatcher {

// Thrown: one line for people, which names the file, the reason and what to do, and the exit code of
// interfaces.md.
struct StoreError {
  int exit_code = 74;  // 73, 74 or 75
  std::string message;
};

}  // namespace workpool::dispatcher
