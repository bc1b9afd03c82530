// SPDX-License-Identifier: MIT
// What a failure says, and how long a job waits before it is given out again: exponential backoff with full
// jitter. The core draws no randomness: the jitter is a hash of key and attempt, so a replay of the same
// events gives the same waits.
#pragma once

#include <cstdint>

#include "common/base/ids.h"
#include "common/base/outcome.h"
#include "common/base/time.h"

namespace workpool::dispatcher {

inline constexpr Duration kBackoffFirst = seconds(1);
inline constexpr Duration kBackoffMost = seconds(60);

// `count`: how many attempts have been used up, from 1. Between 0 and min(60 s, 1 s x 2^(count-1)).
Duration retry_delay(const Key& key, std::uint32_t attempt, std::uint32_t count);

// Whether the program, or the folder to run in, is missing there. A shell says so with 126 and 127; it may
// also mean that something inside the command is missing.
bool cannot_start(const Outcome& outcome, bool by_shell);

// Losses with a worker: the first is not delayed, later ones climb the same ladder.
Duration loss_delay(const Key& key, std::uint32_t attempt, std::uint32_t losses);

}  // namespace workpool::dispatcher
