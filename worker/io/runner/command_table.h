// SPDX-License-Identifier: MIT
// The commands of a runner: which ones wait for a slot, and for each of the others which spawner has it since
// when. When a command ends, its spawner starts the next waiting one itself. Going through the engine's loop
// would take two hand-overs between threads, about a tenth of a short command. Any thread.
#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/io/clock.h"
#include "worker/core/facts.h"

namespace workpool::worker {

class CommandTable {
 public:
  struct Place {
    StartAttempt attempt;
    std::uint32_t spawner = 0;
  };
  enum class Where : std::uint8_t { kNowhere, kWaits, kAtSpawner };

  // No more than `slots` commands are with spawners at a time.
  explicit CommandTable(std::uint32_t slots) : slots_(slots) {}

  // Before anything else: how many spawners there are.
  void set_spawners(std::size_t count) { loads_.resize(count); }

  // If a slot is free, the attempt takes it and is returned with the spawner that has the least to do. Else
  // returns nullopt, and the attempt waits here.
  std::optional<Place> enter(StartAttempt&& attempt) {
    const std::lock_guard lock(mutex_);
    if (running_.size() >= slots_) {
      waiting_.push_back(std::move(attempt));
      return std::nullopt;
    }
    std::uint32_t least = 0;
    for (std::uint32_t i = 1; i < loads_.size(); ++i) {
      if (loads_[i] < loads_[least]) least = i;
    }
    running_.emplace(attempt.token, Running{least});
    ++loads_[least];
    return Place{std::move(attempt), least};
  }
  // The attempt is about to be started. `now` was read before its process is made.
  void starts(std::uint64_t token, Time now) {
    const std::lock_guard lock(mutex_);
    running_.at(token).since = now;
  }
  // The attempt has ended. Returns the waiting attempt that takes its slot, for the same spawner; nullopt if
  // none waits.
  std::optional<StartAttempt> leave(std::uint64_t token) {
    const std::lock_guard lock(mutex_);
    const auto found = running_.find(token);
    CHECK(found != running_.end());
    const std::uint32_t spawner = found->second.spawner;
    if (waiting_.empty()) {
      running_.erase(found);
      --loads_[spawner];
      return std::nullopt;
    }
    StartAttempt next = std::move(waiting_.front());
    waiting_.pop_front();
    // The same node again: nothing is allocated.
    auto node = running_.extract(found);
    node.key() = next.token;
    node.mapped() = Running{spawner};
    running_.insert(std::move(node));
    return next;
  }

  // Where the attempt is. With `take_out` it is removed if it waits. `spawner` is set for kAtSpawner.
  Where find(std::uint64_t token, bool take_out, std::uint32_t& spawner) {
    const std::lock_guard lock(mutex_);
    if (const auto found = running_.find(token); found != running_.end()) {
      spawner = found->second.spawner;
      return Where::kAtSpawner;
    }
    for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
      if (it->token != token) continue;
      if (take_out) waiting_.erase(it);
      return Where::kWaits;
    }
    return Where::kNowhere;
  }
  void forget_waiting() {
    const std::lock_guard lock(mutex_);
    waiting_.clear();
  }

  bool none_runs() const {
    const std::lock_guard lock(mutex_);
    return running_.empty();
  }
  // When the oldest of those that run was started: a process that is older belongs to none of them. kNever if
  // none runs.
  Time oldest_start() const {
    const std::lock_guard lock(mutex_);
    Time oldest = kNever;
    for (const auto& [token, running] : running_) oldest = std::min(oldest, running.since);
    return oldest;
  }

 private:
  struct Running {
    std::uint32_t spawner = 0;
    Time since = kNever;
  };

  const std::uint32_t slots_;
  mutable std::mutex mutex_;
  std::deque<StartAttempt> waiting_;
  std::unordered_map<std::uint64_t, Running> running_;
  std::vector<std::uint32_t> loads_;  // per spawner, how many of running_
};

}  // namespace workpool::worker
