// SPDX-License-Identifier: MIT
// Processes that die while they are looked for: what they leave is found all the same.
#include "worker/io/process/process_tree.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <thread>

#include <gtest/gtest.h>

#include "tests/unit_io/forked.h"
#include "tests/unit_io/processes.h"
#include "worker/io/process/proc_files.h"

namespace workpool::worker {
namespace {

constexpr int kDepth = 6;
constexpr int kRounds = 100;  // without the second look a round in 15 (members) or in 3 (kill) loses one

// Far longer than a test takes; so nothing stays if the test itself is killed.
[[noreturn]] void sleep_for_ever() {
  ::alarm(300);
  while (true) ::pause();
}

// A chain of processes in a session of their own, each the parent of the next. Returns the first and the
// last. The death of the first kills the others one after the other, except for the last, which stays.
struct Chain {
  pid_t first = 0;
  pid_t last = 0;
};
Chain chain_of_deaths() {
  int pipe[2];
  if (::pipe(pipe) != 0) return {};
  Chain chain;
  chain.first = ::fork();
  if (chain.first == 0) {
    ::setsid();
    for (int depth = 1; depth <= kDepth; ++depth) {
      if (::fork() != 0) sleep_for_ever();
      ::prctl(PR_SET_PDEATHSIG, depth < kDepth ? SIGKILL : 0, 0, 0, 0);
    }
    const pid_t self = ::getpid();
    if (::write(pipe[1], &self, sizeof self) != sizeof self) ::_exit(1);
    sleep_for_ever();
  }
  if (::read(pipe[0], &chain.last, sizeof chain.last) != sizeof chain.last) chain.last = 0;
  ::close(pipe[0]);
  ::close(pipe[1]);
  return chain;
}

// How many of the rounds did not go as they should: `clean_up` runs in a process of its own that adopts what
// loses its parent, while a chain dies from its first process on, and must leave nothing alive.
int rounds_that_left_one(const std::function<void(pid_t first)>& clean_up) {
  int left = 0;
  for (int round = 0; round < kRounds; ++round) {
    const int code = code_of_child([&] {
      ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
      const Chain chain = chain_of_deaths();
      if (chain.last == 0) return 1;
      ::kill(chain.first, SIGKILL);
      siginfo_t ended{};
      ::waitid(P_PID, static_cast<id_t>(chain.first), &ended, WEXITED);
      clean_up(chain.first);
      const bool alive = is_alive(chain.last);
      if (alive) ::kill(chain.last, SIGKILL);
      return alive ? 1 : 0;
    });
    if (code != 0) ++left;  // -1 too, which would make up for a 1
  }
  return left;
}

class ProcessTreeTest : public ::testing::Test {
 protected:
  void SetUp() override { WORKPOOL_SKIP_WHERE_FORK_MAY_HANG(); }
};

TEST_F(ProcessTreeTest, WhatADyingChildLeavesIsKilledToo) {
  EXPECT_EQ(rounds_that_left_one([](pid_t) { kill_descendants_of_self(kPatience, true); }), 0);
}

TEST_F(ProcessTreeTest, WhatADyingChildLeavesIsKilledTooIfAnotherThreadReaps) {
  EXPECT_EQ(rounds_that_left_one([](pid_t) { kill_descendants_of_self(kPatience, false); }), 0);
}

TEST_F(ProcessTreeTest, WhatADyingChildLeavesIsAMemberOfItsJob) {
  EXPECT_EQ(rounds_that_left_one([](pid_t first) {
              ProcessTree tree;
              while (true) {
                const std::vector<pid_t> left = tree.members({first, false, "none"});
                if (left.empty()) return;
                kill_now(left);
              }
            }),
            0);
}

TEST_F(ProcessTreeTest, AProcessWhoseMainThreadHasEndedLives) {
  const int code = code_of_child([] {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    const pid_t child = ::fork();
    if (child == 0) {
      std::thread(sleep_for_ever).detach();
      ::syscall(SYS_exit, 0);  // the main thread alone, without unwinding the test
    }
    if (!wait_for([&] { return stat_fields(child).starts_with('Z'); })) return 2;
    if (is_dead(child)) return 3;
    kill_descendants_of_self(kPatience, true);
    return ::kill(child, 0) == 0 ? 4 : 0;
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace workpool::worker
