// SPDX-License-Identifier: MIT
// Children that go on in the code of the test, for what is a whole process's: limits, users, descriptors.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <thread>

namespace workpool {

// gcc 12's TSan does not hold its own locks over a fork: now and then such a child waits forever. The other
// presets run these tests.
#ifdef __SANITIZE_THREAD__
inline constexpr bool kForkMayHang = true;
#else
inline constexpr bool kForkMayHang = false;
#endif
#define WORKPOOL_SKIP_WHERE_FORK_MAY_HANG() \
  if (::workpool::kForkMayHang) GTEST_SKIP() << "a forked child may hang under TSan"

// What `child` returned in a process of its own: 0 to 255; -1 if a signal ended it or it took over a
// minute.
template <typename Child>
int code_of_child(Child&& child) {
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(child());
  const auto until = std::chrono::steady_clock::now() + std::chrono::minutes(1);
  int status = 0;
  while (::waitpid(pid, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > until) ::kill(pid, SIGKILL);
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace workpool
