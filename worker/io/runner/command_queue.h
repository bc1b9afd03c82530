// SPDX-License-Identifier: MIT
// Commands that have been handed over ahead of a free slot, shared by the spawners of a runner: whichever
// spawner's command ends begins the next one at once, without a way round through the loop (two thread
// hand-overs, about a tenth of what a short command takes). No more than `slots` commands run at a time.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "worker/core/facts.h"
#include "worker/io/runner/runner_options.h"

namespace workpool::worker {

class CommandQueue {
 public:
  explicit CommandQueue(std::uint32_t slots) : slots_(slots) {}

  // The order back where a slot is free for it, which it then has; else it waits here.
  std::optional<StartAttempt> enter(StartAttempt&& order) {
    const std::lock_guard lock(mutex_);
    if (active_ >= slots_) {
      waiting_.push_back(std::move(order));
      return std::nullopt;
    }
    ++active_;
    return std::move(order);
  }
  // A command has ended: the one that gets its slot, or nothing, and the slot is free.
  std::optional<StartAttempt> leave() {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      --active_;
      return std::nullopt;
    }
    StartAttempt next = std::move(waiting_.front());
    waiting_.pop_front();
    return next;
  }
  // Takes a waiting one out; false where it does not wait (any more).
  bool remove(std::uint64_t token) {
    const std::lock_guard lock(mutex_);
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
      if (it->token != token) continue;
      waiting_.erase(it);
      return true;
    }
    return false;
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    waiting_.clear();
  }

 private:
  const std::uint32_t slots_;
  std::mutex mutex_;
  std::uint32_t active_ = 0;
  std::deque<StartAttempt> waiting_;
};

}  // namespace workpool::worker
