// SPDX-License-Identifier: MIT
// Runs the jobs of handlers that programs run (--handler), on threads of its own, the seats: made as jobs
// come, at most one per slot. A seat keeps its children for the jobs that follow.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "worker/io/runner/child_seat.h"
#include "worker/io/runner/executor.h"

namespace workpool::worker {

class ChildExecutor : public Executor {
 public:
  // `stopped` is called by a seat's thread if a handler does not work here. Throws std::system_error if the
  // system has no room.
  ChildExecutor(const std::shared_ptr<RunServices>& services, std::function<void(HandlerStopped&&)> stopped);
  // Kills all children (KILL), waits until they are gone, for a second at most, and joins.
  ~ChildExecutor() override;
  ChildExecutor(const ChildExecutor&) = delete;
  ChildExecutor& operator=(const ChildExecutor&) = delete;

  // Starts those of `attempts` whose type is one of its handlers, and leaves the others there. For one thread
  // at a time.
  void start_own(std::vector<StartAttempt>& attempts);
  // REQUIRES: all are of its handlers.
  void start(std::vector<StartAttempt>&& attempts) override { start_own(attempts); }
  // A job that its child has read counts as begun; if it was written ahead, it ends when its turn comes.
  void kill(std::uint64_t token, KillWhen when) override;

 private:
  std::uint32_t handler_of(const StartAttempt& attempt);
  void add_seats(std::size_t wanted);
  void add_seat();

  const std::shared_ptr<ChildServices> services_;
  WorkParser parser_;
  std::vector<std::unique_ptr<ChildSeat>> seats_;
  std::vector<std::thread> threads_;
};

}  // namespace workpool::worker
