// SPDX-License-Identifier: MIT
// Jobs that wait for another worker than the one they failed on.
#include "dispatcher/core/placement.h"
#include "dispatcher/core/retry_policy.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

Outcome outcome_with_exit(int status) {
  Outcome outcome;
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kExit;
  outcome.command.emplace().exit = status;
  return outcome;
}

TEST(CannotStart, TheSystemSaysSoOrAShell) {
  Outcome missing;
  missing.status = Status::kFailed;
  missing.kind = ErrorKind::kSpawn;
  EXPECT_TRUE(cannot_start(missing, false));
  EXPECT_TRUE(cannot_start(outcome_with_exit(127), true));
  EXPECT_TRUE(cannot_start(outcome_with_exit(126), true));
  EXPECT_FALSE(cannot_start(outcome_with_exit(127), false)) << "a program's own exit status";
  EXPECT_FALSE(cannot_start(outcome_with_exit(125), true));
  EXPECT_FALSE(cannot_start(Outcome{}, true));
  Outcome killed = outcome_with_exit(127);
  killed.kind = ErrorKind::kSignal;
  killed.command->exit.reset();
  EXPECT_FALSE(cannot_start(killed, true));
}

class ChoosyTest : public CoreTest {
 protected:
  ChoosyTest() { options.listening = false; }
  void cannot_start_on(const std::string& name, JobNumber job) {
    kind = ErrorKind::kSpawn;
    ends(name, job, Status::kFailed);
    kind.reset();
  }
  void expect_moved(JobNumber job, const std::string& from) {
    const auto moved = expect_report<JobMoved>();
    ASSERT_TRUE(moved);
    EXPECT_EQ(moved->id, "job" + std::to_string(job));
    EXPECT_EQ(moved->worker, from);
  }
};

TEST_F(ChoosyTest, AJobThatCannotStartGoesElsewhereAtOnceAndOthersTakeItsPlace) {
  submit(4);
  start();
  worker("w1", 1);
  worker("w2", 1);
  expect_given("w1", {0});
  expect_given("w2", {1});
  cannot_start_on("w1", 0);
  expect_moved(0, "w1");
  expect_given("w1", {2});  // job 0 waits for w2
  ends("w2", 1);
  expect_recorded(1, Status::kOk);
  expect_given("w2", {0});
  EXPECT_EQ(attempt(0), 2U);
  EXPECT_EQ(snapshot().retried, 1U);
  discard_decisions();
}

// A worker that will leave before the job could be over.
TEST_F(ChoosyTest, AJobThatAWorkerHasNoTimeForGoesToAnotherAndUsesNoAttempt) {
  submit(2);
  start();
  worker("short", 1);
  worker("long", 1);
  expect_given("short", {0});
  expect_given("long", {1});
  returns("short", 0, ReturnReason::kNoTime);
  expect_nothing();
  ends("long", 1);
  expect_recorded(1, Status::kOk);
  expect_given("long", {0});
  EXPECT_EQ(attempt(0), 1U);
  ends("long", 0);
  expect_recorded(0, Status::kOk);
  expect_over();
}

TEST_F(ChoosyTest, IfNobodyElseIsThereItIsNotSentToAndFro) {
  submit(1);
  start();
  worker("short", 1);
  int given = 0;
  for (int i = 0; i < 200; ++i) {
    const bool has_it = take_given("short") == Numbers{0};
    discard_decisions();
    if (has_it) {
      ++given;
      returns("short", 0, ReturnReason::kNoTime);
    }
    advance(milliseconds(50));
  }
  discard_decisions();
  EXPECT_GE(given, 2);
  EXPECT_LE(given, 8) << "in ten seconds";
}

TEST_F(ChoosyTest, NorIsAQueueOfSuchJobsDrawnThroughIt) {
  submit(1000);
  start();
  worker("long", 1);
  take_given("long");
  worker("short", 1);
  std::size_t given = 0;
  for (int i = 0; i < 200; ++i) {
    const Numbers jobs = take_given("short");
    discard_decisions();
    for (const JobNumber job : jobs) returns("short", job, ReturnReason::kNoTime);
    given += jobs.size();
    advance(milliseconds(50));
  }
  discard_decisions();
  EXPECT_LE(given, 300U) << "in ten seconds";
}

// Nothing else happens then that would make the scheduler look.
TEST_F(ChoosyTest, TheEndOfTheWaitForOthersWakesIt) {
  options.listening = true;
  options.worker_timeout = seconds(600);  // so that no heartbeat is due
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  cannot_start_on("w1", 0);
  discard_decisions();
  const Time begin = now();
  advance(seconds(2));
  ASSERT_TRUE(next_deadline());
  EXPECT_EQ(*next_deadline(), begin + seconds(3));
  advance(seconds(1));
  EXPECT_EQ(take_given("w1"), Numbers{0});
  EXPECT_TRUE(!next_deadline() || *next_deadline() > now()) << "the loop would spin";
  discard_decisions();
}

// The first of two workers that are started together must not end all jobs before the second has joined.
TEST_F(ChoosyTest, IfOthersMayJoinAJobThatCannotStartWaitsForThem) {
  options.listening = true;
  submit(2, {.retries = 0});
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  cannot_start_on("w1", 0);
  expect_moved(0, "w1");
  expect_nothing();
  worker("w2", 1);
  expect_given("w2", {0});
  ends("w2", 0);
  expect_recorded(0, Status::kOk);
  expect_nothing();
}

TEST_F(ChoosyTest, TheyAreWaitedForUntilThreeSecondsAfterTheFirst) {
  options.listening = true;
  submit(2, {.retries = 0});
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  cannot_start_on("w1", 0);
  expect_moved(0, "w1");
  advance(milliseconds(2900));
  expect_given("w1", {1});
  cannot_start_on("w1", 1);
  expect_moved(1, "w1");
  expect_nothing();
  advance(milliseconds(200));
  expect_given("w1", {0});
  cannot_start_on("w1", 0);
  expect_recorded(0, Status::kFailed);
  expect_given("w1", {1});
  cannot_start_on("w1", 1);
  expect_recorded(1, Status::kFailed);
  discard_decisions();
}

TEST_F(ChoosyTest, OnlyWhenEveryWorkerThereHasFailedItIsItRecorded) {
  submit(1, {.retries = 0});
  start();
  for (const char* name : {"w1", "w2", "w3"}) worker(name, 1);
  expect_given("w1", {0});
  cannot_start_on("w1", 0);
  expect_moved(0, "w1");
  const std::string second = take_given("w2").empty() ? "w3" : "w2";
  const std::string third = second == "w2" ? "w3" : "w2";
  take_given("w3");
  cannot_start_on(second, 0);
  expect_moved(0, second);
  expect_given(third, {0});
  cannot_start_on(third, 0);
  expect_recorded(0, Status::kFailed);
  expect_over();
}

TEST_F(ChoosyTest, ItIsGivenBackToAWorkerThatHasNobodyBesideIt) {
  submit(2);
  start();
  worker("w1", 1);
  worker("w2", 1);
  expect_given("w1", {0});
  expect_given("w2", {1});
  cannot_start_on("w1", 0);
  expect_moved(0, "w1");
  expect_nothing();
  say("w2", Ready{false});  // it takes no more work
  drain();
  expect_given("w1", {0});
  discard_decisions();
}

TEST_F(ChoosyTest, ARetryPrefersAnotherWorkerAndWaitsFiveSecondsForIt) {
  submit(1, {.retries = 5});
  submit(1);
  start();
  worker("w1", 1);
  worker("w2", 1);
  expect_given("w1", {0});
  expect_given("w2", {1});
  ends("w1", 0, Status::kFailed);
  const auto retried = expect_report<JobRetried>();
  advance(retried->delay + seconds(4));
  expect_nothing();
  advance(seconds(2));
  expect_given("w1", {0});
  ends("w1", 0, Status::kFailed);
  expect_report<JobRetried>();
  ends("w2", 1);
  expect_recorded(1, Status::kOk);
  advance(seconds(4));
  expect_given("w2", {0});
  discard_decisions();
}

TEST_F(ChoosyTest, AloneARetryWaitsForNobody) {
  submit(1, {.retries = 1});
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  ends("w1", 0, Status::kFailed);
  const auto retried = expect_report<JobRetried>();
  advance(retried->delay);
  expect_given("w1", {0});
  discard_decisions();
}

// Narrow jobs would take each slot of the wide worker that is freed.
TEST_F(ChoosyTest, AWideJobGetsItsSlotsInTheEnd) {
  submit(1, {.slots = 2});
  submit(60);
  start();
  worker("w1", 2);
  worker("w2", 2);
  expect_given("w1", {0});
  cannot_start_on("w1", 0);
  expect_moved(0, "w1");
  Numbers running = take_given("w2");
  bool given = false;
  // One of the two ends each half second, so both are never free at once unless one is kept free.
  for (int i = 0; i < 30 && !given; ++i) {
    advance(milliseconds(500));
    const JobNumber ended = running.front();
    running.erase(running.begin());
    ends("w2", ended);
    for (const JobNumber job : take_given("w2")) {
      given = given || job == 0;
      running.push_back(job);
    }
    if (running.empty()) break;
  }
  EXPECT_TRUE(given);
  discard_decisions();
}

}  // namespace
}  // namespace workpool::dispatcher
