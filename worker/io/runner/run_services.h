// SPDX-License-Identifier: MIT
// What the spawners and the thread pool of one runner share. Owned by the runner and by every thread of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "common/io/clock.h"
#include "worker/core/facts.h"
#include "worker/io/process/child_environment.h"
#include "worker/io/process/process_tree.h"
#include "worker/io/process/shared_page.h"
#include "worker/io/runner/command_queue.h"
#include "worker/io/runner/ending_sink.h"
#include "worker/io/runner/runner_options.h"
#include "worker/io/runner/running_starts.h"

namespace workpool::worker {

struct RunServices {
  RunServices(const RunnerOptions& given, char* const* environ_of_worker,
              std::function<void(std::vector<AttemptEnded>&&)> ended)
      : options(given),
        environment(environ_of_worker),
        sink(std::move(ended)),
        queue(given.slots),
        capture_bytes(given.capture_bytes) {}

  // The check right before each start.
  bool may_start(Time now) const {
    return now.time_since_epoch().count() < lease_us.load(std::memory_order_relaxed) &&
           !options.page->is_closed();
  }

  // Leaves `endings` empty. Once everything is being killed no ending leaves: it would be taken for the job's
  // own.
  void deliver(std::vector<AttemptEnded>& endings) {
    if (options.page->is_closed()) endings.clear();
    sink.deliver(endings);
  }

  const RunnerOptions options;
  const InheritedEnvironment environment;
  EndingSink sink;
  CommandQueue queue;
  ProcessTree tree;
  RunningStarts starts;
  std::atomic<std::uint64_t> capture_bytes;
  std::atomic<std::int64_t> lease_us{0};   // CLOCK_BOOTTIME until which jobs may be started
  std::atomic<std::uint32_t> commands{0};  // handed to spawners and not ended yet
};

}  // namespace workpool::worker
