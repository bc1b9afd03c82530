// SPDX-License-Identifier: MIT
// A supervisor in a process of its own, whose engines do what the test says, and a family of processes as a
// job.
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/unit_io/forked.h"
#include "tests/unit_io/runner_fixture.h"
#include "worker/io/supervisor.h"

namespace workpool::worker {

using EngineMain = std::function<int(const EngineBirth&)>;

// The bytes that the engine was sent until now; waits for the next one.
inline char next_order(const EngineBirth& birth) {
  pollfd watched{birth.control_fd, POLLIN, 0};
  char byte = '?';
  while (::read(birth.control_fd, &byte, 1) != 1) {
    if (::poll(&watched, 1, -1) < 0) return '?';
  }
  return byte;
}

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() : page_(4) {
    options_.page = &page_;
    ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);  // other tests of this process have runners
    if (::pipe2(parent_, O_CLOEXEC) != 0) ADD_FAILURE();
  }
  ~SupervisorTest() override {
    if (pid_ != 0) ::kill(pid_, SIGKILL);
    if (pid_ != 0) ::waitpid(pid_, nullptr, 0);
    close_parent();
    ::close(parent_[0]);
  }

  void SetUp() override { WORKPOOL_SKIP_WHERE_FORK_MAY_HANG(); }

  // `before`: what the process does before it becomes a worker.
  void supervise_with(
      EngineMain engine_main, const std::function<void()>& before = [] {}) {
    std::fflush(nullptr);
    pid_ = ::fork();
    if (pid_ != 0) return;
    close_parent();
    for (const int fault : {SIGSEGV, SIGABRT})
      ::signal(fault, SIG_DFL);  // a sanitizer would make exits of them
    before();
    ::_exit(supervise(options_, engine_main));
  }
  // The exit code of the supervisor; 1000 + the signal that ended it.
  int code() {
    int status = 0;
    if (!wait_for([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; })) return -1;
    pid_ = 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
  }
  void close_parent() {
    if (parent_[1] >= 0) ::close(parent_[1]);
    parent_[1] = -1;
  }

  // An engine's runner with one job; `script` may use $DIR.
  std::unique_ptr<Runner> runner_with(SharedPage* page, const std::string& script) const {
    RunnerOptions options;
    options.slots = 2;
    options.page = page;
    auto runner = std::make_unique<Runner>(options, [](auto&&) {});
    runner->set_lease(boot_time() + seconds(3600));
    StartAttempt order;
    order.token = 1;
    order.order.key.low = 77;
    order.order.work = shell(script, ",\"env\":{\"DIR\":" + json(folder_.path()) + "}");
    std::vector<StartAttempt> orders;
    orders.push_back(std::move(order));
    runner->start(std::move(orders));
    return runner;
  }
  // A command, a child of it, and a process that escaped it by a session of its own and a dead parent; all
  // ignore TERM.
  std::string family() const {
    return "trap '' TERM; sleep 1000 & echo $! >$DIR/child; (setsid sh -c 'echo $$ >$DIR/escaped; while :; "
           "do sleep 1; done' &);"
           "echo $$ >$DIR/leader; while :; do sleep 1; done";
  }
  std::vector<pid_t> family_members() const {
    std::vector<pid_t> pids;
    for (const char* name : {"leader", "child", "escaped"}) pids.push_back(folder_.wait_for_pid(name));
    for (const pid_t pid : pids) EXPECT_TRUE(is_alive(pid));
    return pids;
  }
  void engine_number(const EngineBirth& birth) const {
    folder_.write("engine" + std::to_string(birth.engine), std::to_string(::getpid()) + "\n");
  }
  // Promised within a second, asserted with fourfold slack.
  static void expect_gone(const std::vector<pid_t>& pids) {
    const Time begin = boot_time();
    for (const pid_t pid : pids) {
      const bool is_gone = wait_for([&] { return !is_alive(pid); }, seconds(4));
      EXPECT_TRUE(is_gone) << pid;
      if (!is_gone) ::kill(pid, SIGKILL);
    }
    std::printf("gone after %.1f ms\n", static_cast<double>((boot_time() - begin).count()) / 1000);
  }

  SharedPage page_;
  SupervisorOptions options_;
  Folder folder_;
  pid_t pid_ = 0;
  int parent_[2] = {-1, -1};
};

}  // namespace workpool::worker
