// SPDX-License-Identifier: MIT
// Runs jobs of handlers on threads of its own, the first made at once, more as orders come. A thread claims
// its next order with one atomic step from the batch that it shares with the others, so no order waits behind
// a long one while a thread is idle. Endings are handed over in batches, but nothing that has finished waits
// for what is not quick.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/handlers/registry.h"
#include "worker/io/runner/run_services.h"

namespace workpool::worker {

class ThreadPool {
 public:
  // At most `threads` of them, one at once; throws std::system_error where the system has no room for it.
  // They keep `services` and `handlers` alive, since a handler that never returns keeps its thread after the
  // pool has gone.
  ThreadPool(std::uint32_t threads, std::shared_ptr<RunServices> services,
             std::shared_ptr<const HandlerRegistry> handlers);
  // Sets every stop token; waits a second for what runs, what is not back then is left to itself. Orders that
  // have not begun are dropped.
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // Any thread. Orders are begun in their order.
  void start(std::vector<StartAttempt>&& orders);
  // Sets the stop token of a job that runs (kStopped once its thread is back, or with its slot lost after the
  // kill grace; a job that has timed out keeps that), or takes it out before it begins (kNotStarted). Unknown
  // tokens are ignored.
  void kill(std::uint64_t token);
  // Only takes it out before it begins: true, and kNotStarted is handed over at once, since every thread may
  // be held by a handler that never returns. One that runs goes on.
  bool unstart(std::uint64_t token);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace workpool::worker
