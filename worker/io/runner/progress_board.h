// SPDX-License-Identifier: MIT
// Where running jobs say how far they are, until the engine takes it along. Only the last word of each job
// counts, so one that speaks all the time costs its own time only. Any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "worker/core/facts.h"
#include "worker/handlers/handler.h"

namespace workpool::worker {

class ProgressBoard : public ProgressSink {
 public:
  void say(std::uint64_t token, Progress&& progress) override {
    const std::lock_guard lock(mutex_);
    said_.insert_or_assign(token, std::move(progress));
  }
  // What was said since the last time.
  std::vector<JobProgressed> take() {
    const std::lock_guard lock(mutex_);
    std::vector<JobProgressed> taken;
    for (auto& [token, progress] : said_) taken.push_back({token, std::move(progress)});
    said_.clear();
    return taken;
  }

 private:
  std::mutex mutex_;
  std::unordered_map<std::uint64_t, Progress> said_;  // by token
};

}  // namespace workpool::worker
