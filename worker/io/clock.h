// SPDX-License-Identifier: MIT
// The clock of a worker, and the end of its time.
#pragma once

#include "common/io/clock.h"

namespace workpool::worker {

inline constexpr Time kNever = Time::max();

}  // namespace workpool::worker
