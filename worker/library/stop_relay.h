// SPDX-License-Identifier: MIT
// Carries stops from the threads that decide them (the engine's loop, the watch over timeouts) to the stop
// tokens of users. What a user has hung on a token may take any time, so it runs on a thread of its own.
#pragma once

#include <memory>
#include <stop_token>

namespace workpool::worker {

class StopRelay {
 public:
  StopRelay();

  // Starts the thread if there is none yet; throws std::system_error if the system has no room for it.
  void begin();
  // Requests the stop soon. Any thread; never waits. REQUIRES: begin() has returned.
  void stop(std::stop_source source);

 private:
  struct State;
  std::shared_ptr<State> state_;  // the thread's too: it ends with the process only
};

}  // namespace workpool::worker
