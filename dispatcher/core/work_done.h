// SPDX-License-Identifier: MIT
// What one worker has done for a run.
#pragma once

#include <cstdint>
#include <string>

namespace workpool::dispatcher {

struct WorkDone {
  std::string name;
  std::uint64_t done = 0;  // results recorded from it in this start
};

}  // namespace workpool::dispatcher
