// SPDX-License-Identifier: MIT
// Runs handlers on threads of its own, the first made at once, more as attempts come. A thread claims its
// next attempt with one atomic step from the batch that it shares with the others, so none waits behind a
// long one while a thread is idle. Endings are handed over in batches, but nothing that has finished waits
// for what is not quick.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/handlers/registry.h"
#include "worker/io/runner/executor.h"
#include "worker/io/runner/run_services.h"

namespace workpool::worker {

class HandlerExecutor : public Executor {
 public:
  // At most `threads` of them, one at once; throws std::system_error where the system has no room for it.
  // They keep `services` and `handlers` alive, since a handler that never returns keeps its thread after the
  // pool has gone.
  HandlerExecutor(std::uint32_t threads, std::shared_ptr<RunServices> services,
                  std::shared_ptr<const HandlerRegistry> handlers);
  // Sets every stop token; waits a second for what runs, what is not back then is left to itself. Orders that
  // have not begun are dropped.
  ~HandlerExecutor() override;
  HandlerExecutor(const HandlerExecutor&) = delete;
  HandlerExecutor& operator=(const HandlerExecutor&) = delete;

  void start(std::vector<StartAttempt>&& attempts) override;
  // There is no KILL for a thread: kAtOnce is as kGently. One that does not come back within the grace loses
  // its slot; one that has not begun ends at once, since every thread may be held by a handler that never
  // returns.
  void kill(std::uint64_t token, KillWhen when) override;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace workpool::worker
