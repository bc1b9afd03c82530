// SPDX-License-Identifier: MIT
// The clock of both programs: CLOCK_BOOTTIME, which goes on while the machine sleeps, as leases and timeouts
// must.
#pragma once

#include <ctime>

#include "common/base/time.h"

namespace workpool {

inline Time boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return Time(seconds(now.tv_sec)) + microseconds(now.tv_nsec / 1000);
}

}  // namespace workpool
