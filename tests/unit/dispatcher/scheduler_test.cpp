// SPDX-License-Identifier: MIT
// The whole core: what its numbers say, and that the same events give the same decisions.
#include "dispatcher/core/scheduler.h"

#include "tests/unit/dispatcher/core_fixture.h"
#include "tests/unit/dispatcher/decision_text.h"

namespace workpool::dispatcher {
namespace {

class SchedulerTest : public CoreTest {
 protected:
  using Texts = std::vector<std::string>;

  static Texts texts(Time time, const Actions& actions) {
    Texts all{std::to_string(time.time_since_epoch().count())};
    for (const Action& action : actions) all.push_back(text_of(action));
    return all;
  }
  // The place of the first decision that begins so among those of one step; npos if there is none.
  static std::size_t place_of(const std::string& start, const Texts& step) {
    const auto found = std::find_if(step.begin(), step.end(),
                                    [&](const std::string& text) { return text.starts_with(start); });
    return found == step.end() ? std::string::npos : static_cast<std::size_t>(found - step.begin());
  }
};

TEST_F(SchedulerTest, JobsGoOutInTheirOrderAndOverTheWorkersInTurn) {
  submit(4);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  worker("w2", 2);
  expect_given("w2", {2, 3});
  ends("w2", 3);
  expect_recorded(3, Status::kOk);
  const Snapshot now = snapshot();
  EXPECT_EQ(now.total, 4u);
  EXPECT_EQ(now.ok, 1u);
  EXPECT_EQ(now.held, 3u);
  EXPECT_EQ(now.running, 3u);
  EXPECT_EQ(now.slots, 4u);
}

// Its line is being read, and it is too wide for the free slots. Others may have these, but nothing more.
TEST_F(SchedulerTest, TinyJobsDoNotGoAheadOfABetterOneThatIsBeingRead) {
  const JobOptions tiny{1, 0, Duration{0}, "noop"};
  const JobOptions wide{4, 0, Duration{0}, ""};
  submit(1, tiny);
  submit(1);
  submit(1, wide);
  submit(100, tiny);
  unread = 2;
  ran = microseconds(10);
  start();
  worker("w", 4);
  expect_given("w", {0, 1, 3, 4});
  ends("w", 0);
  expect_recorded(0, Status::kOk);
  expect_given("w", {5});
  ends("w", 3);
  expect_recorded(3, Status::kOk);
  expect_given("w", {6});
}

TEST_F(SchedulerTest, TheJobThatRunsForLongestIsKnownWithItsWorker) {
  submit(4);
  start();
  EXPECT_FALSE(running_jobs().longest);
  worker("w1", 1);
  expect_given("w1", {0});
  advance(seconds(3));
  worker("w2", 2);
  expect_given("w2", {1, 2});
  advance(seconds(2));
  RunningJobs running = running_jobs();
  ASSERT_TRUE(running.longest);
  EXPECT_EQ(running.longest->worker, "w1");
  EXPECT_EQ(running.longest->line, 1u);
  EXPECT_EQ(running.longest->ran, seconds(5));
  EXPECT_EQ(running.shortest_ran, seconds(2));
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_given("w1", {3});
  running = running_jobs();
  ASSERT_TRUE(running.longest);
  EXPECT_EQ(running.longest->worker, "w2");
  EXPECT_EQ(running.shortest_ran, Duration{0});
}

TEST_F(SchedulerTest, WhatRunsIsNeverMoreThanTheSlotsThatAreShown) {
  submit(4);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  worker("w2", 1);
  expect_given("w2", {2});
  EXPECT_EQ(snapshot().running, 3u);
  // Its connection is gone: it is not counted among the workers until it is back.
  step(LaneGone{SessionId{1}});
  EXPECT_EQ(snapshot().slots, 1u);
  EXPECT_EQ(snapshot().running, 1u);
  EXPECT_EQ(snapshot().held, 3u);
  register_worker("w1", 2);
  expect<CloseSession>();
  held("w1", 0, 1);
  held("w1", 1, 1);
  EXPECT_EQ(snapshot().running, 1u);
  say("w1", Ready{});
  expect_joined("w1");
  EXPECT_EQ(snapshot().slots, 3u);
  EXPECT_EQ(snapshot().running, 3u);
}

TEST_F(SchedulerTest, ABlockedJournalStopsTheGiving) {
  submit(2);
  start({"w1"});
  JournalState journal;
  journal.blocked = true;
  step(std::move(journal));
  worker("w1", 2);
  expect_nothing();
  step(JournalState{});
  drain();
  expect_given("w1", {0, 1});
}

TEST_F(SchedulerTest, ThePauseOfTheDispatcherCostsNoWorkerItsSession) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  sleep_without_a_look(seconds(60));
  expect_nothing();
  falls_silent("w1");
  advance(seconds(11));
  expect_lost("w1", SilentFor{seconds(10)});
}

// A story with everything that might be decided by chance: who gets a job, how long a retry waits, who is
// lost first, what is handed on.
TEST_F(SchedulerTest, TheSameEventsAtTheSameTimesGiveTheSameActions) {
  std::vector<Texts> decided;
  on_step = [&](Time time, const Actions& actions) { decided.push_back(texts(time, actions)); };
  submit(30, {.retries = 2});
  submit(6, {.slots = 3});
  submit(6, {.type = "noop"});
  start({"w1", "w3"});
  const std::vector<std::string> names = {"w1", "w2", "w3", "w4"};
  for (const std::string& name : names) worker(name, 4);
  for (int round = 0; round < 3; ++round) {
    for (const std::string& name : names) {
      for (const JobNumber job : take_given(name))
        ends(name, job, job % 3 == 0 ? Status::kFailed : Status::kOk);
    }
    advance(seconds(1));
  }
  falls_silent("w2");
  falls_silent("w3");
  advance(seconds(11));
  for (const std::string& name : {names[0], names[3]}) {
    for (const JobNumber job : take_given(name)) ends(name, job);
  }
  step(StopRequested{StopKind::kTerminate});
  advance(seconds(40));
  discard_decisions();

  std::size_t at = 0;
  std::size_t actions_in_all = 0;
  replay([&](Time time, const Actions& actions) {
    const Texts again = texts(time, actions);
    EXPECT_EQ(again, decided[at]) << "in step " << at;
    actions_in_all += actions.size();
    return again == decided[at++];
  });
  EXPECT_EQ(at, decided.size());
  EXPECT_GT(actions_in_all, 200u) << "the story is too short to show anything";
}

// A worker that was wrongly declared lost is done first.
TEST_F(SchedulerTest, ACopyIsCancelledInTheStepThatRecordsTheJob) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  falls_silent("w1");
  advance(seconds(11));
  expect_lost("w1", SilentFor{seconds(10)});
  worker("w2", 1);
  expect_given("w2", {0});
  disk_held = true;
  int cancels = 0;
  on_step = [&](Time time, const Actions& actions) {
    const Texts decisions = texts(time, actions);
    if (place_of("SEND 1", decisions) == std::string::npos) return;
    ++cancels;
    EXPECT_NE(place_of("RECORD job0", decisions), std::string::npos);
  };
  result("w1", 0, Status::kOk);
  EXPECT_EQ(cancels, 1);
  expect_cancelled("w2", {0});
  expect_recorded(0, Status::kOk);
  disk_held = false;
  make_durable();
  drain();
  expect_over();
}

TEST_F(SchedulerTest, AJobThatFailedIsReportedBehindItsRecord) {
  submit(2);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  Texts decisions;
  on_step = [&](Time time, const Actions& actions) {
    if (!actions.empty()) decisions = texts(time, actions);
  };
  result("w1", 1, Status::kFailed);
  const std::size_t record = place_of("RECORD job1", decisions);
  const std::size_t report = place_of("ENDED job1", decisions);
  ASSERT_NE(record, std::string::npos);
  ASSERT_NE(report, std::string::npos);
  EXPECT_LT(record, report);
  expect_recorded(1, Status::kFailed);
}

TEST_F(SchedulerTest, AResultIsAckedOnlyOnceItsRecordIsDurable) {
  submit(2);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  advance(seconds(1));
  const std::uint64_t before = said("w1");
  disk_held = true;
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  const std::uint64_t result = said("w1");
  advance(seconds(5));  // beats that follow it are not acked either
  EXPECT_EQ(ack_told("w1"), before);
  make_durable();
  advance(seconds(1));
  EXPECT_GT(ack_told("w1"), result);
}

}  // namespace
}  // namespace workpool::dispatcher
