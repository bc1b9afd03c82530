// SPDX-License-Identifier: MIT
// Where the spawners put what has ended, so that short commands are reported together: the threads that a
// report wakes cost a fifth of one. Any thread.
#pragma once

#include <mutex>
#include <utility>
#include <vector>

#include "worker/io/runner/run_services.h"

namespace workpool::worker {

class EndingBatch {
 public:
  // The longest that an ending waits here for others. What was handed over ahead (kAheadCommands in
  // worker/core/attempts.cpp) lasts for longer.
  static constexpr Duration kWait = milliseconds(8);

  // `services` outlives this.
  explicit EndingBatch(RunServices& services) : services_(services) {}

  // Takes `endings`, which may be none, and leaves it empty. Delivers all that wait here, with `at_once` or
  // if the first of them has waited for long enough. Returns when to call again if nobody else does; kNever
  // if nothing waits.
  Time add(std::vector<AttemptEnded>& endings, bool at_once, Time now) {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty()) {
      waiting_.swap(endings);
      deliver_at_ = now + kWait;
    } else {
      for (AttemptEnded& ending : endings) waiting_.push_back(std::move(ending));
      endings.clear();
    }
    if (waiting_.empty()) return kNever;
    if (!at_once && now < deliver_at_) return deliver_at_;
    services_.deliver(waiting_);  // under the lock: a job may have two endings, and they stay in order
    return kNever;
  }

 private:
  RunServices& services_;
  std::mutex mutex_;
  std::vector<AttemptEnded> waiting_;
  Time deliver_at_{};  // if any waits
};

}  // namespace workpool::worker
