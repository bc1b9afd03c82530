// SPDX-License-Identifier: MIT
// Time as the cores see it: microseconds on a clock that never jumps. The loops read CLOCK_BOOTTIME and pass
// it in; the simulator makes its own. Nothing here reads a clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace workpool {

using Duration = std::chrono::duration<std::int64_t, std::micro>;

struct CoreClock {
  using duration = Duration;
  using rep = Duration::rep;
  using period = Duration::period;
  using time_point = std::chrono::time_point<CoreClock, Duration>;
  static constexpr bool is_steady = true;
};
using Time = CoreClock::time_point;

// A deadline that never comes.
inline constexpr Time kNever = Time::max();

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

}  // namespace workpool
