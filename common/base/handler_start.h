// SPDX-License-Identifier: MIT
// How long the program of a handler may take to start: both sides have to know. Pure.
#pragma once

#include <algorithm>

#include "common/base/time.h"

namespace workpool {

// Until it reads its first request, and so without that its job's timeout counts.
inline constexpr Duration kHandlerStartMost = std::chrono::minutes(5);
// A job with a longer timeout waits for as long as that.
inline Duration handler_start_most(Duration timeout, Duration most = kHandlerStartMost) {
  return std::max(most, timeout);
}

}  // namespace workpool
