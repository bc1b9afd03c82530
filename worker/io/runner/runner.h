// SPDX-License-Identifier: MIT
// Runs attempts for the engine: commands on spawner threads, handlers on a thread pool or in
// children of their own. The engine's loop
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
  // `ended` is called from runner threads with one or more endings, one call at a time, and `stopped` if the
  // program of a handler does not work here; both must be quick (a mailbox). Threads inherit the caller's
  // signal mask. Throws std::system_error if the system has no room.
  Runner(
      const RunnerOptions& options, std::function<void(std::vector<AttemptEnded>&&)> ended,
      std::function<void(HandlerStopped&&)> stopped = [](HandlerStopped&&) {});
  // Kills what runs (KILL) and joins the threads, except for those of handlers that do not return within a
  // second and of starts that hang. `ended` is not called any more.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Starts attempts in their order, each by the executor of its kind. The caller counts slots; what is beyond
  // them waits for another attempt to end. Never blocks.
  void start(std::vector<StartAttempt>&& attempts);
  // As Executor::kill(); `kind`: the attempt's.
  void kill(std::uint64_t token, JobKind kind, KillWhen when);
  // What jobs have said of their progress since the last call; of each the last.
  std::vector<JobProgressed> take_progress();
  // Jobs may be started until this CLOCK_BOOTTIME; checked right before each start. None may before the first
  // call.
  void set_lease(Time until);
  // How many bytes of stdout, and of stderr, to keep for jobs that start from now on. The value comes from
  // WELCOME; more than kCaptureBytesMax is not believed. `failed_only`: nothing of those that end ok.
  void set_capture(std::uint64_t bytes, bool failed_only = false);

  // The handler types that a runner with these runs, sorted. `registry`: as in RunnerOptions.
  static std::vector<std::string> handler_types(const std::vector<HandlerProgram>& programs = {},
                                                const HandlerRegistry* registry = nullptr);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace workpool::worker
