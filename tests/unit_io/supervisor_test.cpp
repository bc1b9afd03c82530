// SPDX-License-Identifier: MIT
// The supervisor in a process of its own, engines that end in every way, and what becomes of their jobs.
#include "worker/io/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "tests/unit_io/forked.h"
#include "tests/unit_io/runner_fixture.h"
#include "worker/core/facts.h"

namespace workpool::worker {
namespace {

using EngineMain = std::function<int(const EngineBirth&)>;

// The bytes that the engine was sent until now; waits for the next one.
char next_order(const EngineBirth& birth) {
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
    RunOrder order;
    order.token = 1;
    order.key.low = 77;
    order.work = shell(script, ",\"env\":{\"DIR\":" + json(folder_.path()) + "}");
    std::vector<RunOrder> orders;
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

TEST_F(SupervisorTest, TheCodeOfTheEngineIsTheWorkers) {
  for (const int expected : {0, 2, 69, 76, 77, 78}) {
    supervise_with([expected](const EngineBirth&) { return expected; });
    EXPECT_EQ(code(), expected);
  }
  EXPECT_TRUE(page_.deaths().empty());
}

TEST_F(SupervisorTest, AnEngineMayAskToBeReplaced) {
  supervise_with([&](const EngineBirth& birth) {
    if (birth.engine == 1) birth.page->started(Key{{1, 2}});
    return birth.engine < 3 ? kExitRestart : static_cast<int>(birth.engine);
  });
  EXPECT_EQ(code(), 3);
  EXPECT_TRUE(page_.deaths().empty());
  page_.record_death(9, "asked");
  EXPECT_TRUE(page_.deaths().back().ran.empty());
}

TEST_F(SupervisorTest, ADeathIsToldToTheNextEngine) {
  supervise_with([](const EngineBirth& birth) {
    if (birth.engine == 1) {
      birth.page->started(Key{{1, 1}});
      birth.page->ended(birth.page->started(Key{{2, 2}}));
      birth.page->started(Key{{3, 3}});
      ::raise(SIGSEGV);
    }
    const std::vector<Death> deaths = birth.page->deaths();
    const bool right = deaths.size() == 1 && deaths[0].engine == 1 &&
                       deaths[0].cause == "signal 11 (SIGSEGV)" &&
                       deaths[0].ran == std::vector<Key>{Key{{1, 1}}, Key{{3, 3}}};
    birth.page->deaths_acked(1);
    return right && birth.page->deaths().empty() ? 0 : 2;
  });
  EXPECT_EQ(code(), 0);
}

TEST_F(SupervisorTest, AnExitThatTheEngineDidNotMeanIsADeath) {
  supervise_with([](const EngineBirth& birth) {
    if (birth.engine == 1) ::_exit(0);
    if (birth.engine == 2) throw std::runtime_error("no room for a context");
    return 0;
  });
  EXPECT_EQ(code(), 0);
  ASSERT_EQ(page_.deaths().size(), 2U);
  EXPECT_EQ(page_.deaths()[0].cause, "exit status 0 not of its own");
  EXPECT_EQ(page_.deaths()[1].cause, "signal 6 (SIGABRT)");
}

TEST_F(SupervisorTest, EnginesThatDieAreReplacedLessAndLessOften) {
  const Time begin = boot_time();
  supervise_with([](const EngineBirth& birth) -> int {
    if (birth.engine < 4) ::abort();
    return 0;
  });
  EXPECT_EQ(code(), 0);
  EXPECT_GE(boot_time() - begin, milliseconds(100 + 200 + 400));
}

TEST_F(SupervisorTest, EnginesThatCannotStartEndTheWorker) {
  options_.first_pause = milliseconds(1);
  supervise_with([](const EngineBirth&) -> int { throw std::runtime_error("no memory"); });
  EXPECT_EQ(code(), 71);
  EXPECT_EQ(page_.deaths().size(), 8U);
}

// They had met a dispatcher, so that it was a job, perhaps, and no lack of the system.
TEST_F(SupervisorTest, EnginesThatDieAfterAWelcomeDoNot) {
  options_.first_pause = milliseconds(1);
  supervise_with([](const EngineBirth& birth) -> int {
    birth.page->note_run(RunId{1});
    if (birth.engine < 10) ::abort();
    return 0;
  });
  EXPECT_EQ(code(), 0);
  EXPECT_EQ(page_.deaths().size(), 9U);
}

TEST_F(SupervisorTest, NoJobOutlivesItsEngine) {
  supervise_with([&](const EngineBirth& birth) {
    engine_number(birth);
    if (birth.engine == 2) return 0;
    const auto runner = runner_with(birth.page, family());
    ::pause();
    return 1;
  });
  const std::vector<pid_t> pids = family_members();
  ::kill(folder_.wait_for_pid("engine1"), SIGKILL);
  expect_gone(pids);
  EXPECT_EQ(code(), 0);
  ASSERT_EQ(page_.deaths().size(), 1U);
  EXPECT_EQ(page_.deaths()[0].ran, (std::vector<Key>{Key{{0, 77}}}));
}

TEST_F(SupervisorTest, AJobThatKillsItsEngineIsNamed) {
  supervise_with([&](const EngineBirth& birth) {
    if (birth.engine == 2) return 0;
    const auto runner = runner_with(birth.page, "kill -SEGV $PPID; sleep 1000");
    ::pause();
    return 1;
  });
  EXPECT_EQ(code(), 0);
  ASSERT_EQ(page_.deaths().size(), 1U);
  EXPECT_EQ(page_.deaths()[0].cause, "signal 11 (SIGSEGV)");
  EXPECT_EQ(page_.deaths()[0].ran, (std::vector<Key>{Key{{0, 77}}}));
}

TEST_F(SupervisorTest, AnEngineThatStaysStoppedIsReplacedAndItsJobsNamed) {
  page_.note_worker_timeout(milliseconds(100));
  supervise_with([&](const EngineBirth& birth) {
    if (birth.engine == 2) return 0;
    const auto runner = runner_with(birth.page, "kill -STOP $PPID; sleep 1000");
    ::pause();
    return 1;
  });
  EXPECT_EQ(code(), 0);
  ASSERT_EQ(page_.deaths().size(), 1U);
  EXPECT_EQ(page_.deaths()[0].cause, "stopped by SIGSTOP, then killed");
  EXPECT_EQ(page_.deaths()[0].ran, (std::vector<Key>{Key{{0, 77}}}));
}

TEST_F(SupervisorTest, AnEngineThatGoesOnInTimeIsLeftAlone) {
  constexpr Duration kTimeout = milliseconds(1000);
  constexpr Duration kKilledAfter = 3 * kTimeout;  // supervisor.cpp, kStoppedTimeouts
  page_.note_worker_timeout(kTimeout);
  supervise_with([&](const EngineBirth& birth) {
    engine_number(birth);
    return next_order(birth) == 's' && birth.engine == 1 ? 0 : 2;
  });
  const pid_t engine = folder_.wait_for_pid("engine1");
  const Time stopped = boot_time();
  ::kill(engine, SIGSTOP);
  std::this_thread::sleep_for(milliseconds(100));  // the supervisor sees it
  ::kill(engine, SIGCONT);
  const Duration took = boot_time() - stopped;
  std::this_thread::sleep_for(kKilledAfter + milliseconds(300));
  ::kill(pid_, SIGTERM);
  if (took >= kKilledAfter) GTEST_SKIP() << "the machine kept us from letting it go on in time";
  EXPECT_EQ(code(), 0);
  EXPECT_TRUE(page_.deaths().empty());
}

TEST_F(SupervisorTest, StopsReachTheEngineOneByteEach) {
  supervise_with([&](const EngineBirth& birth) {
    engine_number(birth);
    return next_order(birth) == 's' && next_order(birth) == 's' && next_order(birth) == 's' ? 0 : 2;
  });
  ::kill(folder_.wait_for_pid("engine1"), SIGTERM);  // as service managers do; obeyed is the supervisor only
  ::kill(folder_.wait_for_pid("engine1"), SIGINT);
  ::kill(folder_.wait_for_pid("engine1"), SIGHUP);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::kill(pid_, signal);
  EXPECT_EQ(code(), 0);
  EXPECT_TRUE(page_.deaths().empty());
}

TEST_F(SupervisorTest, HangupsAreIgnoredWhereTheyWereAtTheStart) {
  options_.ignore_hup = true;
  supervise_with([&](const EngineBirth& birth) {
    engine_number(birth);
    next_order(birth);
    return ::read(birth.control_fd, &options_, 1) == 1 ? 2 : 0;
  });
  folder_.wait_for_pid("engine1");
  ::kill(pid_, SIGHUP);
  std::this_thread::sleep_for(milliseconds(50));
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(code(), 0);
}

TEST_F(SupervisorTest, AnEngineThatHangsIsKilledAfterItsTime) {
  options_.grace = milliseconds(100);
  options_.to_end = milliseconds(200);
  supervise_with([&](const EngineBirth& birth) {
    const auto runner = runner_with(birth.page, family());
    while (true) ::pause();
    return 1;
  });
  const std::vector<pid_t> pids = family_members();
  const Time begin = boot_time();
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(code(), 0);
  EXPECT_GE(boot_time() - begin, milliseconds(300));
  expect_gone(pids);
}

TEST_F(SupervisorTest, ASecondStopShortensTheGrace) {
  options_.grace = seconds(1000);
  options_.to_end = milliseconds(100);
  supervise_with([&](const EngineBirth& birth) {
    engine_number(birth);
    while (true) ::pause();
    return 1;
  });
  folder_.wait_for_pid("engine1");
  ::kill(pid_, SIGTERM);
  ::kill(pid_, SIGINT);
  EXPECT_EQ(code(), 0);
}

TEST_F(SupervisorTest, AStopWhileNoEngineRunsEndsTheWorker) {
  supervise_with([&](const EngineBirth& birth) -> int {
    if (birth.engine == 4) engine_number(birth);  // the pause after it, 0.8 s, is long enough to be hit
    ::abort();
  });
  folder_.wait_for_pid("engine4");
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(code(), 0);
}

TEST_F(SupervisorTest, TheEndOfTheDispatcherStopsALocalWorkerAtOnce) {
  options_.parent_fd = parent_[0];
  supervise_with([&](const EngineBirth& birth) {
    engine_number(birth);
    return next_order(birth) == 'n' ? 69 : 2;
  });
  folder_.wait_for_pid("engine1");
  close_parent();
  EXPECT_EQ(code(), 69);
}

TEST_F(SupervisorTest, TheEndOfTheDispatcherEndsAnEngineThatHangsToo) {
  options_.parent_fd = parent_[0];
  supervise_with([&](const EngineBirth& birth) {
    engine_number(birth);
    const auto runner = runner_with(birth.page, family());
    while (true) ::pause();
    return 1;
  });
  std::vector<pid_t> pids = family_members();
  ::kill(folder_.pid_in("engine1"), SIGSTOP);
  const Time begin = boot_time();
  close_parent();
  EXPECT_EQ(code(), 69);
  EXPECT_LT(boot_time() - begin, seconds(4));
  expect_gone(pids);
}

TEST_F(SupervisorTest, NothingOutlivesTheSupervisor) {
  supervise_with([&](const EngineBirth& birth) {
    engine_number(birth);
    const auto runner = runner_with(birth.page, family());
    while (true) ::pause();  // as a loop that hangs
    return 1;
  });
  std::vector<pid_t> pids = family_members();
  pids.push_back(folder_.wait_for_pid("engine1"));
  ::kill(pid_, SIGKILL);
  expect_gone(pids);
  EXPECT_EQ(code(), 1000 + SIGKILL);
}

TEST_F(SupervisorTest, AStoppedEngineDoesNotOutliveTheSupervisorEither) {
  supervise_with([&](const EngineBirth& birth) {
    engine_number(birth);
    const auto runner = runner_with(birth.page, family());
    while (true) ::pause();
    return 1;
  });
  std::vector<pid_t> pids = family_members();
  pids.push_back(folder_.wait_for_pid("engine1"));
  ::kill(pids.back(), SIGSTOP);
  ::kill(pid_, SIGKILL);
  expect_gone(pids);
  EXPECT_EQ(code(), 1000 + SIGKILL);
}

// As `pkill -9 workpool` does, which the guard's name keeps it from.
TEST_F(SupervisorTest, NothingOutlivesSupervisorAndEngineThatAreKilledTogether) {
  supervise_with([&](const EngineBirth& birth) {
    folder_.write("guard", std::to_string(::getppid()) + "\n");
    engine_number(birth);
    const auto runner = runner_with(birth.page, family());
    while (true) ::pause();
    return 1;
  });
  std::vector<pid_t> pids = family_members();
  pids.push_back(folder_.wait_for_pid("engine1"));
  pids.push_back(folder_.wait_for_pid("guard"));
  ::kill(pid_, SIGSTOP);  // so that it cannot act on the engine's end
  ::kill(folder_.pid_in("engine1"), SIGKILL);
  ::kill(pid_, SIGKILL);
  expect_gone(pids);
  EXPECT_EQ(code(), 1000 + SIGKILL);
}

TEST_F(SupervisorTest, AGuardHasANameOfItsOwnAndItsEngineKeepsOurs) {
  supervise_with([&](const EngineBirth& birth) {
    folder_.write("guard", std::to_string(::getppid()) + "\n");
    engine_number(birth);
    return next_order(birth) == 's' ? 0 : 2;
  });
  const std::string guard = "/proc/" + std::to_string(folder_.wait_for_pid("guard"));
  const std::string engine = "/proc/" + std::to_string(folder_.wait_for_pid("engine1"));
  EXPECT_TRUE(wait_for([&] { return read_text(guard + "/comm") == "wp-guard\n"; }));
  EXPECT_TRUE(
      wait_for([&] { return read_text(guard + "/cmdline").starts_with(std::string("wp-guard") + '\0'); }));
  EXPECT_EQ(read_text(guard + "/cmdline").find_first_not_of('\0', 9), std::string::npos);
  EXPECT_EQ(read_text(engine + "/comm"), read_text("/proc/self/comm"));
  EXPECT_EQ(read_text(engine + "/cmdline"), read_text("/proc/self/cmdline"));
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::kill(folder_.pid_in("guard"), signal);
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(code(), 0);
}

TEST_F(SupervisorTest, AGuardThatIsKilledTakesEngineAndJobsWithIt) {
  supervise_with([&](const EngineBirth& birth) {
    if (birth.engine == 2) return 0;
    folder_.write("guard", std::to_string(::getppid()) + "\n");
    engine_number(birth);
    const auto runner = runner_with(birth.page, family());
    while (true) ::pause();
    return 1;
  });
  std::vector<pid_t> pids = family_members();
  pids.push_back(folder_.wait_for_pid("engine1"));
  ::kill(folder_.wait_for_pid("guard"), SIGKILL);
  expect_gone(pids);
  EXPECT_EQ(code(), 0);
  ASSERT_EQ(page_.deaths().size(), 1U);
  EXPECT_EQ(page_.deaths()[0].ran, (std::vector<Key>{Key{{0, 77}}}));
}

// `sidecar & exec workpool-worker ...`
TEST_F(SupervisorTest, WhatWasThereBeforeTheWorkerLivesOn) {
  for (const bool kill_guard : {false, true}) {
    const std::string name = kill_guard ? "second" : "first";
    supervise_with(
        [&](const EngineBirth& birth) -> int {
          if (birth.engine == 2) return 0;
          if (kill_guard) ::kill(::getppid(), SIGKILL);
          ::abort();
        },
        [&] {
          const pid_t sidecar = ::fork();
          if (sidecar == 0) {
            while (true) ::pause();
          }
          folder_.write(name, std::to_string(sidecar) + "\n");
        });
    const pid_t sidecar = folder_.wait_for_pid(name);
    EXPECT_EQ(code(), 0);
    EXPECT_TRUE(is_alive(sidecar));
    ::kill(sidecar, SIGKILL);
  }
}

TEST_F(SupervisorTest, StatusesAreSeenWhereChildSignalsWereIgnored) {
  ::signal(SIGCHLD, SIG_IGN);
  supervise_with([&](const EngineBirth& birth) -> int {
    if (birth.engine == 1) ::abort();
    return 78;
  });
  ::signal(SIGCHLD, SIG_DFL);
  EXPECT_EQ(code(), 78);
}

TEST_F(SupervisorTest, TheSupervisorReapsWhatItAdopts) {
  supervise_with([&](const EngineBirth& birth) {
    // An engine's child that dies after an engine which ended by itself would be the supervisor's; so is, at
    // once, the child of an engine that is no subreaper any more.
    ::prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    if (::system(("(sleep 0.2 & echo $! >" + folder_.path("orphan") + ")").c_str()) != 0) return 2;
    return next_order(birth) == 's' ? 0 : 2;
  });
  const pid_t orphan = folder_.wait_for_pid("orphan");
  EXPECT_TRUE(wait_for([&] { return !std::filesystem::exists("/proc/" + std::to_string(orphan)); }));
  ::kill(pid_, SIGTERM);
  EXPECT_EQ(code(), 0);
}

}  // namespace
}  // namespace workpool::worker
