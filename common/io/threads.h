// SPDX-License-Identifier: MIT
// Starts a thread beside the loop's.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <functional>
#include <thread>
#include <utility>

#include "common/base/check.h"

namespace workpool {

// Starts a thread with all signals blocked, since the loop handles them. Throws std::system_error if the
// system cannot start one. The caller's own mask stays as it was either way.
inline std::thread start_thread(std::function<void()> body) {
  // Blocked before the thread starts, which inherits the mask: by itself it might block a signal too late.
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
