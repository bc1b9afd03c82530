// SPDX-License-Identifier: MIT
// When the commands that run now were started, of all spawners: a process that is older than every one of
// them belongs to none. Any thread.
#pragma once

#include <algorithm>
#include <mutex>
#include <vector>

#include "common/base/check.h"
#include "common/io/clock.h"

namespace workpool::worker {

class RunningStarts {
 public:
  // `start`: asked of the clock before the command's process was made.
  void add(Time start) {
    const std::lock_guard lock(mutex_);
    starts_.push_back(start);
  }
  // REQUIRES: it was added.
  void remove(Time start) {
    const std::lock_guard lock(mutex_);
    const auto found = std::find(starts_.begin(), starts_.end(), start);
    CHECK(found != starts_.end());
    *found = starts_.back();
    starts_.pop_back();
  }
  // kNever where none runs.
  Time oldest() const {
    const std::lock_guard lock(mutex_);
    const auto first = std::min_element(starts_.begin(), starts_.end());
    return first == starts_.end() ? kNever : *first;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<Time> starts_;  // as many as there are slots, at most
};

}  // namespace workpool::worker
