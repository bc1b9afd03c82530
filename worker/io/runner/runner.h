// SPDX-License-Identifier: MIT
// Runs attempts for the engine: commands on spawner threads, handlers on a thread pool. The engine's loop
// thread calls start() and kill(); endings come back through a callback from the threads of the runner,
// batched. One runner per process, which becomes a child subreaper by it and whose main thread must start no
// process of its own (process_tree.h). Every attempt takes the same way: lease check, start record, run, end
// record, ending.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/time.h"
#include "worker/core/facts.h"
#include "worker/io/runner/executor.h"
#include "worker/io/runner/runner_options.h"

namespace workpool::worker {

class Runner {
 public:
  // `ended` is called from runner threads with one or more endings, one call at a time; it must be quick (a
  // mailbox). Threads inherit the caller's signal mask. Throws std::system_error if the system has no
  // room.
  Runner(const RunnerOptions& options, std::function<void(std::vector<AttemptEnded>&&)> ended);
  // Kills what runs (KILL) and joins its threads, those of handlers that do not return within a second
  // excepted. `ended` is not called any more.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Started in their order, each by the executor of its kind. The caller keeps the count of slots: what is
  // beyond them waits for the end of another. Never blocks.
  void start(std::vector<StartAttempt>&& attempts);
  // As Executor::kill(); `kind`: the attempt's.
  void kill(std::uint64_t token, JobKind kind, KillWhen when);
  // CLOCK_BOOTTIME in microseconds until which jobs may be started; asked right before each start.
  void set_lease(Time until);
  // WELCOME names it, and is not believed beyond kCaptureBytesMax; takes effect for jobs started afterwards.
  void set_capture(std::uint64_t bytes);

  // The handler types that it runs, sorted.
  static std::vector<std::string> handler_types();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace workpool::worker
