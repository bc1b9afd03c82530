// SPDX-License-Identifier: MIT
#include "worker/library/stop_relay.h"

#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace workpool::worker {

struct StopRelay::State {
  std::mutex mutex;  // protects all below
  std::condition_variable has_some;
  std::vector<std::stop_source> asked;
  bool has_begun = false;

  [[noreturn]] void run() {
    std::vector<std::stop_source> taken;
    while (true) {
      {
        std::unique_lock lock(mutex);
        has_some.wait(lock, [this] { return !asked.empty(); });
        taken.swap(asked);
      }
      for (std::stop_source& source : taken) source.request_stop();
      taken.clear();
    }
  }
};

StopRelay::StopRelay() : state_(std::make_shared<State>()) {}

void StopRelay::begin() {
  const std::lock_guard lock(state_->mutex);
  if (state_->has_begun) return;
  // With the signal mask of a handler's thread: callbacks are the user's code, as handlers are.
  std::thread([state = state_] { state->run(); }).detach();
  state_->has_begun = true;
}

void StopRelay::stop(std::stop_source source) {
  const std::lock_guard lock(state_->mutex);
  state_->asked.push_back(std::move(source));
  state_->has_some.notify_one();
}

}  // namespace workpool::worker
