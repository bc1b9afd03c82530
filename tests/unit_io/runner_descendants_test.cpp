// SPDX-License-Identifier: MIT
// Nothing of a job outlives its ending: daemons, sessions of their own, timeouts, cancels.
#include <signal.h>
#include <sys/stat.h>

#include "tests/unit_io/runner_fixture.h"

namespace workpool::worker {
namespace {

class RunnerDescendantsTest : public RunnerTest {
 protected:
  // A shell text that starts a process which escapes: a session of its own, its parent gone. It holds no
  // pipe, ignores TERM, and writes its pid into `name`.
  std::string escape(const std::string& name, const std::string& prefix = "") {
    folder_.write("escape", "trap '' TERM\necho $$ >" + folder_.path("$1") + "\nwhile :; do sleep 1; done\n");
    return "(" + prefix + " setsid sh " + folder_.path("escape") + " " + name +
           " </dev/null >/dev/null 2>&1 &) ; ";
  }
  std::string until_there(const std::string& name) {
    return "while ! grep -q . " + folder_.path(name) + " 2>/dev/null; do sleep 0.01; done; ";
  }
};

TEST_F(RunnerDescendantsTest, WhatIsLeftAtTheEndIsKilled) {
  const AttemptEnded ending =
      run(shell("sleep 1000 >/dev/null 2>&1 & echo $! >" + folder_.path("child") + "; exit 3"));
  EXPECT_EQ(ending.outcome.command->exit, 3);
  const pid_t child = folder_.pid_in("child");
  ASSERT_GT(child, 0);
  EXPECT_FALSE(is_alive(child));
}

TEST_F(RunnerDescendantsTest, AnEscapedDaemonIsKilledBeforeTheResult) {
  const AttemptEnded ending = run(shell(escape("daemon") + until_there("daemon") + "echo done"));
  EXPECT_EQ(ending.outcome.status, Status::kOk);
  EXPECT_EQ(ending.outcome.command->standard_output, "done\n");
  const pid_t daemon = folder_.pid_in("daemon");
  ASSERT_GT(daemon, 0);
  EXPECT_FALSE(is_alive(daemon));
  EXPECT_LT(ending.ran, seconds(4));
}

TEST_F(RunnerDescendantsTest, OneJobsDaemonIsNotKilledWithAnother) {
  ASSERT_EQ(::mkfifo(folder_.path("go").c_str(), 0600), 0);
  const auto token = start(shell(escape("daemon") + until_there("daemon") + "read x <" + folder_.path("go")));
  const pid_t daemon = folder_.wait_for_pid("daemon");
  for (int i = 0; i < 5; ++i) run(argv({"true"}));
  run(shell("setsid sleep 1000 >/dev/null 2>&1 & exit 0"));
  EXPECT_TRUE(is_alive(daemon));
  runner().kill(token, JobKind::kCommand, KillWhen::kGently);
  wait(token);
  EXPECT_FALSE(is_alive(daemon));
}

TEST_F(RunnerDescendantsTest, ADaemonThatHoldsStdoutDelaysTheResultByASecondAtMost) {
  const Time begin = boot_time();
  const AttemptEnded ending =
      run(shell("echo early; setsid sleep 1000 & echo $! >" + folder_.path("daemon")));
  const Duration took = boot_time() - begin;
  EXPECT_EQ(ending.outcome.status, Status::kOk);
  EXPECT_EQ(ending.outcome.command->standard_output, "early\n");
  EXPECT_GE(took, milliseconds(990));
  EXPECT_LT(took, seconds(4));
  EXPECT_LE(ending.ran + milliseconds(990), took) << "a job ends when its own process ends";
  EXPECT_FALSE(is_alive(folder_.pid_in("daemon")));
}

TEST_F(RunnerDescendantsTest, WhatAChildWritesInThatSecondIsKept) {
  const AttemptEnded ending = run(shell("(sleep 0.3; echo late) & echo early"));
  EXPECT_EQ(ending.outcome.command->standard_output, "early\nlate\n");
}

TEST_F(RunnerDescendantsTest, ATimeoutEndsEveryProcessOfTheJob) {
  const auto token = start(shell("echo begun; sleep 1000 & echo $! >" + folder_.path("child") + "; " +
                                 escape("daemon") + until_there("daemon") + "wait"),
                           seconds(2));
  const pid_t daemon = folder_.wait_for_pid("daemon");
  const AttemptEnded ending = wait(token);
  EXPECT_EQ(ending.how, AttemptEnd::kOutcome);
  EXPECT_EQ(ending.outcome.status, Status::kTimeout);
  EXPECT_EQ(ending.outcome.kind, ErrorKind::kTimeout);
  EXPECT_EQ(ending.outcome.message, "timed out after 2s");
  EXPECT_EQ(ending.outcome.command->signal, SIGTERM) << "stays beside the timeout";
  EXPECT_EQ(ending.outcome.command->standard_output, "begun\n");
  EXPECT_FALSE(is_alive(daemon)) << "ignores TERM";
  EXPECT_FALSE(is_alive(folder_.pid_in("child")));
  EXPECT_EQ(running(), 0U);
}

TEST_F(RunnerDescendantsTest, ATimeoutThatIgnoresTermIsKilledAfterTheGrace) {
  const AttemptEnded ending =
      run(shell("trap 'echo asked' TERM; while :; do sleep 0.05; done"), milliseconds(300));
  EXPECT_EQ(ending.outcome.status, Status::kTimeout);
  EXPECT_EQ(ending.outcome.command->signal, SIGKILL);
  EXPECT_EQ(ending.outcome.command->standard_output, "asked\n");
  EXPECT_GE(ending.ran, milliseconds(600));
}

TEST_F(RunnerDescendantsTest, ATimeoutWhoseCommandExitsCleanlyIsATimeout) {
  const AttemptEnded ending =
      run(shell("trap 'exit 0' TERM; while :; do sleep 0.05; done"), milliseconds(300));
  EXPECT_EQ(ending.outcome.status, Status::kTimeout);
  EXPECT_EQ(ending.outcome.command->exit, 0);
}

TEST_F(RunnerDescendantsTest, AStoppedJobCanBeEnded) {
  options_.kill_grace = seconds(30);
  const AttemptEnded ending = run(shell("trap 'exit 7' TERM; kill -STOP $$; sleep 1000"), milliseconds(300));
  EXPECT_EQ(ending.outcome.status, Status::kTimeout);
  EXPECT_EQ(ending.outcome.command->exit, 7) << "CONT lets it see TERM";
  EXPECT_LT(ending.ran, seconds(20));
}

TEST_F(RunnerDescendantsTest, KillEndsInStopped) {
  const auto token = start(shell(escape("daemon") + "sleep 1000"));
  const pid_t daemon = folder_.wait_for_pid("daemon");
  runner().kill(token, JobKind::kCommand, KillWhen::kGently);
  EXPECT_EQ(wait(token).how, AttemptEnd::kStopped);
  EXPECT_FALSE(is_alive(daemon));
  runner().kill(token, JobKind::kCommand, KillWhen::kGently);  // unknown by now
  EXPECT_EQ(run(argv({"true"})).how, AttemptEnd::kOutcome);
  EXPECT_EQ(box_.count(token), 1U);
}

TEST_F(RunnerDescendantsTest, KillNowDoesNotAsk) {
  options_.kill_grace = seconds(60);
  const auto token =
      start(shell("trap '' TERM; echo $$ >" + folder_.path("pid") + "; while :; do sleep 1; done"));
  folder_.wait_for_pid("pid");
  runner().kill(token, JobKind::kCommand, KillWhen::kGently);
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_EQ(box_.count(token), 0U);
  const Time begin = boot_time();
  runner().kill(token, JobKind::kCommand, KillWhen::kAtOnce);
  EXPECT_EQ(wait(token).how, AttemptEnd::kStopped);
  EXPECT_LT(boot_time() - begin, seconds(4));
}

TEST_F(RunnerDescendantsTest, ADaemonWithoutItsEnvironmentGoesWhenNoCommandRuns) {
  const auto other = start(argv({"sleep", "1000"}));
  run(shell(escape("daemon", "env -i PATH=\"$PATH\"") + until_there("daemon")));
  const pid_t daemon = folder_.pid_in("daemon");
  EXPECT_TRUE(is_alive(daemon)) << "nobody knows whose it is";
  runner().kill(other, JobKind::kCommand, KillWhen::kAtOnce);
  wait(other);
  EXPECT_TRUE(wait_for([&] { return !is_alive(daemon); }));
  EXPECT_TRUE(wait_for([&] { return !std::filesystem::exists("/proc/" + std::to_string(daemon)); }))
      << "reaped";
}

TEST_F(RunnerDescendantsTest, ADaemonWithoutItsEnvironmentGoesBesideYoungerCommands) {
  const auto owner = start(shell(escape("daemon", "env -i PATH=\"$PATH\"") + until_there("daemon") +
                                 "while [ ! -e " + folder_.path("go") + " ]; do sleep 0.02; done"));
  const pid_t daemon = folder_.wait_for_pid("daemon");
  // The system tells when a process was started in ticks of 10 ms.
  std::this_thread::sleep_for(milliseconds(50));
  const auto younger = start(shell("echo $$ >" + folder_.path("younger") + "; exec sleep 1000"));
  const pid_t other = folder_.wait_for_pid("younger");
  for (int i = 0; i < 5; ++i) {  // each end has what is nobody's looked for, 20 ms apart at least
    run(argv({"true"}));
    std::this_thread::sleep_for(milliseconds(25));
  }
  EXPECT_TRUE(is_alive(daemon)) << "its owner runs";
  std::ofstream(folder_.path("go")) << "";
  EXPECT_EQ(wait(owner).how, AttemptEnd::kOutcome);
  EXPECT_TRUE(wait_for([&] { return !is_alive(daemon); })) << "the younger one cannot have started it";
  EXPECT_TRUE(is_alive(other));
  EXPECT_EQ(box_.count(younger), 0U);
  runner().kill(younger, JobKind::kCommand, KillWhen::kAtOnce);
  wait(younger);
}

TEST_F(RunnerDescendantsTest, AdoptedProcessesAreReapedWhileTheirJobGoesOn) {
  const auto token = start(shell("(sleep 0.05 & echo $! >" + folder_.path("orphan") + "); sleep 1000"));
  const pid_t orphan = folder_.wait_for_pid("orphan");
  EXPECT_TRUE(
      wait_for([&] { return !std::filesystem::exists("/proc/" + std::to_string(orphan)); }, seconds(8)));
  runner().kill(token, JobKind::kCommand, KillWhen::kAtOnce);
  wait(token);
}

TEST_F(RunnerDescendantsTest, AHundredJobsAtOnceKeepTheirOwnResults) {
  options_.slots = 100;
  std::vector<StartAttempt> orders;
  for (int i = 0; i < 100; ++i) {
    const std::string n = std::to_string(i);
    orders.push_back(order(
        shell("(setsid sleep 1000 >/dev/null 2>&1 &); cat; sleep 0.2; exit " + n, ",\"stdin\":" + json(n))));
  }
  const std::uint64_t first = orders.front().token;
  runner().start(std::move(orders));
  for (int i = 0; i < 100; ++i) {
    const AttemptEnded ending = wait(first + static_cast<std::uint64_t>(i));
    EXPECT_EQ(ending.outcome.command->exit, i);
    EXPECT_EQ(ending.outcome.command->standard_output, std::to_string(i));
  }
  EXPECT_EQ(running(), 0U);
}

TEST_F(RunnerDescendantsTest, ManyShortJobsLoseNoStatus) {
  std::vector<StartAttempt> orders;
  for (int i = 0; i < 400; ++i) orders.push_back(order(shell("exit " + std::to_string(i % 100))));
  for (std::size_t i = 0; i < orders.size(); i += 4) {
    std::vector<StartAttempt> some(orders.begin() + static_cast<long>(i),
                                   orders.begin() + static_cast<long>(i) + 4);
    runner().start(std::move(some));
    for (std::size_t k = i; k < i + 4; ++k)
      EXPECT_EQ(wait(orders[k].token).outcome.command->exit, static_cast<int>(k % 100));
  }
}

TEST_F(RunnerDescendantsTest, TheEndOfTheRunnerKillsWhatRuns) {
  start(shell(escape("daemon") + "trap '' TERM; while :; do sleep 1; done"));
  const pid_t daemon = folder_.wait_for_pid("daemon");
  runner_.reset();
  EXPECT_FALSE(is_alive(daemon));
}

}  // namespace
}  // namespace workpool::worker
