// SPDX-License-Identifier: MIT
// The time of day, for what expires on a date. Somebody may set it: what must not jump uses boot_time().
#pragma once

#include <chrono>
#include <cstdint>

namespace workpool {

// Seconds since 1970.
inline std::int64_t wall_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::seconds>(now).count();
}

}  // namespace workpool
