// SPDX-License-Identifier: MIT
// What all executors of one runner share. Owned by the runner and by every thread of it: threads that never
// come back may outlive the runner.
#pragma once

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/units.h"
#include "common/io/clock.h"
#include "worker/core/facts.h"
#include "worker/io/process/process_tree.h"
#include "worker/io/process/shared_page.h"
#include "worker/io/runner/progress_board.h"
#include "worker/io/runner/runner_options.h"

namespace workpool::worker {

// Where the threads of the runner hand over what has ended: one at a time, and none once it is closed.
class EndingSink {
 public:
  explicit EndingSink(std::function<void(std::vector<AttemptEnded>&&)> ended) : ended_(std::move(ended)) {}

  // Leaves `endings` empty. Does not call for an empty batch.
  void deliver(std::vector<AttemptEnded>& endings) {
    if (endings.empty()) return;
    const std::lock_guard lock(mutex_);
    if (!closed_) ended_(std::move(endings));
    endings.clear();
  }
  // Waits for a call in progress; afterwards nothing is called any more.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }

 private:
  std::mutex mutex_;
  bool closed_ = false;
  std::function<void(std::vector<AttemptEnded>&&)> ended_;
};

// When the oldest of what runs now was started. Something that is older was started by none of it. Any
// thread.
class Residents {
 public:
  void add(Time started) {
    const std::lock_guard lock(mutex_);
    started_.insert(started);
  }
  void remove(Time started) {
    const std::lock_guard lock(mutex_);
    started_.erase(started_.find(started));
  }
  // Who else knows of something that runs.
  void ask_also(std::function<Time()> oldest) {
    const std::lock_guard lock(mutex_);
    others_ = std::move(oldest);
  }
  // kNever if there are none.
  Time oldest() const {
    const std::lock_guard lock(mutex_);
    const Time here = started_.empty() ? kNever : *started_.begin();
    return others_ ? std::min(here, others_()) : here;
  }

 private:
  mutable std::mutex mutex_;
  std::multiset<Time> started_;  // the children of handlers
  std::function<Time()> others_;
};

struct RunServices {
  RunServices(const RunnerOptions& given, std::function<void(std::vector<AttemptEnded>&&)> ended)
      : options(given), sink(std::move(ended)), capture_bytes(given.capture_bytes) {}

  // The check right before each start.
  bool may_start(Time now) const {
    return now.time_since_epoch().count() < lease_us.load(std::memory_order_relaxed) &&
           !options.page->is_closed();
  }

  // Leaves `endings` empty. While everything is being killed no ending leaves: it would be mistaken for the
  // job's own.
  void deliver(std::vector<AttemptEnded>& endings) {
    if (options.page->is_closed()) endings.clear();
    sink.deliver(endings);
  }
  void deliver_one(AttemptEnded&& ending) {
    std::vector<AttemptEnded> endings;
    endings.push_back(std::move(ending));
    deliver(endings);
  }

  const RunnerOptions options;
  EndingSink sink;
  std::atomic<std::uint64_t> capture_bytes;
  std::atomic<bool> capture_failed_only{false};
  ProcessTree tree;  // of all that runs here: one table of who was adopted, since anyone may reap them
  Residents residents;
  ProgressBoard progress;
  std::atomic<std::int64_t> lease_us{0};  // CLOCK_BOOTTIME until which jobs may be started
};

// Whether a command that died of `signal` may have been hit by the stop of the whole worker: systemd and
// Slurm signal the whole group, in any order.
inline bool may_be_of_a_stop(int signal) {
  return signal == SIGHUP || signal == SIGINT || signal == SIGTERM || signal == SIGKILL;
}

// `outcome`: how it ended after its timeout had come; exit or signal and output stay.
inline Outcome timed_out(Outcome outcome, Duration timeout) {
  outcome.status = Status::kTimeout;
  outcome.kind = ErrorKind::kTimeout;
  outcome.message = "timed out after " + format_duration(timeout);
  return outcome;
}

// Longer waits are cut into pieces of this length, so that a pause of the whole worker shows.
inline constexpr Duration kTick = milliseconds(250);

// How long nobody ran here (SIGSTOP, a frozen container, a suspended machine), if someone who looks once per
// kTick looks now for the first time since `last`. Deadlines move by it: the jobs did not run either.
inline Duration pause_since(Time last, Time now) {
  constexpr Duration kLateAtMost = seconds(1);  // a busy machine
  const Duration gap = now - last;
  return gap > kTick + kLateAtMost ? gap - kTick : Duration{0};
}

inline AttemptEnded no_resources(std::uint64_t token, const std::string& reason) {
  AttemptEnded ending{token, AttemptEnd::kNoResources, {}, Duration{0}};
  ending.outcome.message = reason;
  return ending;
}

}  // namespace workpool::worker
