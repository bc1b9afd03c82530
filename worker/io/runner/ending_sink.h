// SPDX-License-Identifier: MIT
// Where the threads of the runner hand over endings: one at a time, and none once it is closed, which the
// threads of handlers that never return may outlive.
#pragma once

#include <functional>
#include <mutex>
#include <utility>
#include <vector>

#include "worker/core/facts.h"
#include "worker/io/runner/runner_options.h"

namespace workpool::worker {

class EndingSink {
 public:
  explicit EndingSink(std::function<void(std::vector<AttemptEnded>&&)> ended) : ended_(std::move(ended)) {}

  // Leaves `endings` empty. Nothing is called for none.
  void deliver(std::vector<AttemptEnded>& endings) {
    if (endings.empty()) return;
    const std::lock_guard lock(mutex_);
    if (!closed_) ended_(std::move(endings));
    endings.clear();
  }

  // After it nothing is called any more; waits for a call that is under way.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }

 private:
  std::mutex mutex_;
  bool closed_ = false;
  std::function<void(std::vector<AttemptEnded>&&)> ended_;
};

}  // namespace workpool::worker
