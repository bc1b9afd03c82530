// SPDX-License-Identifier: MIT
// What the spawners of one runner share; owned by each of their threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <utility>

#include "worker/io/runner/command_start.h"
#include "worker/io/runner/command_table.h"
#include "worker/io/runner/ending_batch.h"
#include "worker/io/runner/run_services.h"

namespace workpool::worker {

using MakeStarter = std::function<std::unique_ptr<Starter>()>;

struct CommandServices {
  CommandServices(std::shared_ptr<RunServices> given, MakeStarter make)
      : run(std::move(given)), make_starter(std::move(make)), table(run->options.slots), endings(*run) {}

  // Called when a spawner begins to start a command; wakes the watch over starts if it sleeps.
  void note_start() {
    starts.fetch_add(1);
    if (!watch_sleeps.load()) return;
    const std::lock_guard lock(mutex);
    watch.notify_one();
  }

  const std::shared_ptr<RunServices> run;
  const MakeStarter make_starter;
  CommandTable table;
  EndingBatch endings;

  std::mutex mutex;
  std::condition_variable watch;
  bool closing = false;  // protected by mutex
  std::atomic<std::uint64_t> starts{0};
  std::atomic<bool> watch_sleeps{false};
};

}  // namespace workpool::worker
