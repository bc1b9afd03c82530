// SPDX-License-Identifier: MIT
// Engines that end in every way, stops, and what becomes of their jobs.
#include "worker/io/supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>

#include "tests/unit_io/supervisor_fixture.h"
#include "worker/core/facts.h"

namespace workpool::worker {
namespace {

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

// As Ctrl-Z does with all of them; the guard may be the first to go on.
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

// As `pkill -9 workpool` does, which the guard's name keeps it from.
// `sidecar & exec workpool-worker ...`
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
