// SPDX-License-Identifier: MIT
// Supervisor, guard and engine watch each other: whichever of them is killed or stopped, nothing of a job is
// left.
#include "worker/io/guard.h"

#include <signal.h>

#include <algorithm>
#include <filesystem>

#include "tests/unit_io/supervisor_fixture.h"

namespace workpool::worker {
namespace {

class GuardTest : public SupervisorTest {
 protected:
  // `once` does something that an engine's guard must see within a time, which a busy machine may not allow:
  // it returns false then, and is done again, with nothing left of before.
  template <class Once>
  void until_in_time(Duration worker_timeout, Once once) {
    for (int tries = 0; tries < 5; ++tries) {
      SharedPage page(4);
      page.note_worker_timeout(worker_timeout);
      options_.page = &page;
      for (const char* name : {"engine1", "guard"}) std::filesystem::remove(folder_.path(name));
      const bool in_time = once(page);
      options_.page = &page_;
      if (in_time) return;
    }
    FAIL() << "five times this machine kept us from letting an engine go on in time";
  }
};

TEST_F(GuardTest, AnEngineThatStaysStoppedIsReplacedAndItsJobsNamed) {
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

TEST_F(GuardTest, AnEngineThatGoesOnInTimeIsLeftAlone) {
  constexpr Duration kTimeout = milliseconds(1000);
  constexpr Duration kKilledAfter = 3 * kTimeout;  // supervisor.cpp, kStoppedTimeouts
  until_in_time(kTimeout, [&](const SharedPage& page) {
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
    const int ended = code();
    if (took >= kKilledAfter) return false;
    EXPECT_EQ(ended, 0);
    EXPECT_TRUE(page.deaths().empty());
    return true;
  });
}

TEST_F(GuardTest, AnEngineThatIsStoppedTogetherWithItsGuardIsLeftAlone) {
  constexpr Duration kTimeout = milliseconds(500);  // the guard kills after three of them
  until_in_time(kTimeout, [&](const SharedPage& page) {
    supervise_with([&](const EngineBirth& birth) {
      folder_.write("guard", std::to_string(::getppid()) + "\n");
      engine_number(birth);
      return next_order(birth) == 's' && birth.engine == 1 ? 0 : 2;
    });
    const pid_t engine = folder_.wait_for_pid("engine1");
    const pid_t guard = folder_.wait_for_pid("guard");
    const Time stopped = boot_time();
    ::kill(engine, SIGSTOP);
    std::this_thread::sleep_for(milliseconds(100));  // the guard sees it
    ::kill(guard, SIGSTOP);
    const Duration before = boot_time() - stopped;
    std::this_thread::sleep_for(3 * kTimeout + milliseconds(1500));
    const Time went_on = boot_time();
    ::kill(guard, SIGCONT);
    std::this_thread::sleep_for(milliseconds(100));
    ::kill(engine, SIGCONT);
    const Duration took = boot_time() - went_on;
    ::kill(pid_, SIGTERM);
    const int ended = code();
    if (std::max(before, took) >= 3 * kTimeout) return false;
    EXPECT_EQ(ended, 0);
    EXPECT_TRUE(page.deaths().empty());
    return true;
  });
}

TEST_F(GuardTest, NothingOutlivesTheSupervisor) {
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

TEST_F(GuardTest, AStoppedEngineDoesNotOutliveTheSupervisorEither) {
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

TEST_F(GuardTest, NothingOutlivesSupervisorAndEngineThatAreKilledTogether) {
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

TEST_F(GuardTest, AGuardHasANameOfItsOwnAndItsEngineKeepsOurs) {
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

TEST_F(GuardTest, AGuardThatIsKilledTakesEngineAndJobsWithIt) {
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

TEST_F(GuardTest, WhatWasThereBeforeTheWorkerLivesOn) {
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

}  // namespace
}  // namespace workpool::worker
