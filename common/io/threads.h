// SPDX-License-Identifier: MIT
// How a thread next to the loop's is started.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <functional>
#include <thread>
#include <utility>

#include "common/base/check.h"

namespace workpool {

// A thread with all signals blocked: they are the loop's. Throws std::system_error if the system has no
// thread to give; the caller's own mask is as before either way.
inline std::thread start_thread(std::function<void()> body) {
  // Blocked before it starts: a signal that arrives in its first instants would find no mask of its own.
  struct AllBlocked {
    sigset_t before;
    AllBlocked() {
      sigset_t all;
      sigfillset(&all);
      CHECK(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
    }
    ~AllBlocked() { CHECK(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0); }
  };
  const AllBlocked blocked;
  return std::thread(std::move(body));
}

}  // namespace workpool
