// SPDX-License-Identifier: MIT
// Runs handlers on threads of its own, the first made at once, more as attempts come. A thread claims its
// next attempt with one atomic step from the batch that it shares with the others, so none waits behind a
// long one while a thread is idle. Endings are handed over in batches, but never wait for a handler that is
// not quick.
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
  // At most `threads` of them, one at once; throws std::system_error if the system has no room for it.
  // They keep `services` and `handlers` alive, since a handler that never returns keeps its thread after the
  // pool has gone.
  HandlerExecutor(std::uint32_t threads, std::shared_ptr<RunServices> services,
                  std::shared_ptr<const HandlerRegistry> handlers);
  // Sets every stop token and waits a second for running handlers; those that have not returned by then are
  // left behind. Attempts that have not begun are dropped.
  ~HandlerExecutor() override;
  HandlerExecutor(const HandlerExecutor&) = delete;
  HandlerExecutor& operator=(const HandlerExecutor&) = delete;

  void start(std::vector<StartAttempt>&& attempts) override;
  // A thread cannot be killed, so kAtOnce is like kGently. A handler that does not return within the grace
  // loses its slot. An attempt that has not begun ends at once, even if every thread is held by a handler
  // that never returns.
  void kill(std::uint64_t token, KillWhen when) override;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace workpool::worker
