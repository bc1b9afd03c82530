// SPDX-License-Identifier: MIT
// What runs the attempts of one kind. The runner has one per kind and hands each attempt to its own; all end
// in the same way, by an AttemptEnded (worker/core/facts.h) to the engine.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/core/facts.h"

namespace workpool::worker {

enum class KillWhen : std::uint8_t {
  kUnlessBegun,  // only if it still waits for its turn: then it ends with kNotStarted, else it goes on
  kGently,       // TERM and CONT to every process, KILL after the grace; sets a handler's stop token
  kAtOnce,       // KILL
};

class Executor {
 public:
  virtual ~Executor() = default;
  // Starts attempts in their order. Those beyond the slots wait here. Never blocks.
  virtual void start(std::vector<StartAttempt>&& attempts) = 0;
  // The attempt ends with kStopped, or with kNotStarted if it had not begun. An attempt that has timed out,
  // or whose own process has ended, keeps its outcome; kill() only shortens the remaining wait. An unknown
  // token has just ended. Never blocks.
  virtual void kill(std::uint64_t token, KillWhen when) = 0;
};

}  // namespace workpool::worker
