// SPDX-License-Identifier: MIT
// What runs the attempts of one kind. The runner has one per kind and hands each attempt to its own; all end
// in the same way, by an AttemptEnded (worker/core/facts.h) to the engine.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/core/facts.h"

namespace workpool::worker {

enum class KillWhen : std::uint8_t {
  kUnlessBegun,  // only if it still waits for its turn: it ends in kNotStarted, else it goes on
  kGently,       // TERM and CONT to every process, KILL after the grace; sets a handler's stop token
  kAtOnce,       // KILL
};

class Executor {
 public:
  virtual ~Executor() = default;
  // Starts them in their order. Those beyond its slots wait here. Never blocks.
  virtual void start(std::vector<StartAttempt>&& attempts) = 0;
  // Ends in kStopped, or in kNotStarted if it had not begun. One that has timed out, or whose own process has
  // ended, keeps its outcome and is only hurried. A token that is not known has just ended. Never blocks.
  virtual void kill(std::uint64_t token, KillWhen when) = 0;
};

}  // namespace workpool::worker
