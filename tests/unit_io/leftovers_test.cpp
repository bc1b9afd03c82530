// SPDX-License-Identifier: MIT
// What workers that were killed with their guards leave, and that nothing else is taken for it.
#include "worker/io/process/leftovers.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>

#include <gtest/gtest.h>

#include "tests/unit_io/forked.h"
#include "tests/unit_io/processes.h"
#include "worker/io/process/child_environment.h"
#include "worker/io/process/proc_files.h"

namespace workpool::worker {
namespace {

class LeftoversTest : public ::testing::Test {
 protected:
  void SetUp() override { WORKPOOL_SKIP_WHERE_FORK_MAY_HANG(); }
  ~LeftoversTest() override {
    for (const pid_t pid : pids_) ::kill(pid, SIGKILL);
  }

  // A worker with one job, a shell in a session of its own that runs `script` with DIR set. The worker lives
  // until the returned process is killed.
  pid_t worker_with(const std::string& script) {
    std::fflush(nullptr);
    const pid_t worker = ::fork();
    if (worker != 0) {
      pids_.push_back(worker);
      return worker;
    }
    mark_jobs_as_ours();
    ::setenv("DIR", folder_.path().c_str(), 1);
    if (::fork() == 0) {
      ::setsid();
      const InheritedEnvironment inherited(environ);
      const ChildEnvironment environment(inherited, {}, "job", 1, 1, inherited.attempt_key("key"));
      const char* const argv[] = {"sh", "-c", script.c_str(), nullptr};
      ::execve("/bin/sh", const_cast<char* const*>(argv), environment.pointers());
      ::_exit(127);
    }
    while (true) ::pause();
  }
  static void end(pid_t worker) {
    ::kill(worker, SIGKILL);
    ::waitpid(worker, nullptr, 0);
  }
  pid_t process(const std::string& name) {
    const pid_t pid = folder_.wait_for_pid(name);
    EXPECT_TRUE(is_alive(pid));
    pids_.push_back(pid);
    return pid;
  }

  Folder folder_;
  std::vector<pid_t> pids_;
};

TEST_F(LeftoversTest, JobsOfADeadWorkerAreKilledWithTheirSessionAndDescendants) {
  const pid_t worker = worker_with(
      "echo $$ >$DIR/leader; sleep 1000 & echo $! >$DIR/child; env -i sleep 1000 & echo $! >$DIR/bare;"
      "setsid sh -c 'echo $$ >$DIR/escaped; sleep 1000' & wait");
  const std::vector<pid_t> left = {process("leader"), process("child"), process("bare"), process("escaped")};
  end(worker);
  const Time begin = boot_time();
  EXPECT_GE(kill_leftovers(seconds(20)), left.size());
  std::printf("killed after %.1f ms\n", static_cast<double>((boot_time() - begin).count()) / 1000);
  // If a worker that starts elsewhere on this machine kills them too, one may still be on its way out.
  for (const pid_t pid : left) EXPECT_TRUE(wait_for([&] { return !is_alive(pid); }, seconds(5)));
}

TEST_F(LeftoversTest, JobsOfALivingWorkerAreLeftAlone) {
  const pid_t worker = worker_with("echo $$ >$DIR/leader; sleep 1000");
  const pid_t leader = process("leader");
  kill_leftovers(seconds(20));
  EXPECT_TRUE(is_alive(leader));
  end(worker);
  kill_leftovers(seconds(20));
  EXPECT_FALSE(is_alive(leader));
}

// A container's processes are seen from outside, where the number of their worker is somebody else's or free.
TEST_F(LeftoversTest, JobsOfAnotherPidNamespaceAreLeftAlone) {
  std::fflush(nullptr);
  const pid_t job = ::fork();
  if (job == 0) {
    const char* const argv[] = {"sleep", "1000", nullptr};
    const char* const envp[] = {"WORKPOOL_ATTEMPT_KEY=0123.1.4194303.17", nullptr};
    ::execve("/bin/sleep", const_cast<char* const*>(argv), const_cast<char* const*>(envp));
    ::_exit(127);
  }
  pids_.push_back(job);
  ASSERT_TRUE(wait_for([&] { return variable_of(job, kAttemptKeyName) == "0123.1.4194303.17"; }));
  kill_leftovers(seconds(20));
  EXPECT_TRUE(is_alive(job));
  end(job);
}

}  // namespace
}  // namespace workpool::worker
