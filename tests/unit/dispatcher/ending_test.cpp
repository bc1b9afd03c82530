// SPDX-License-Identifier: MIT
// How a run comes to its end, phase by phase.
#include "dispatcher/core/ending.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

class EndingTest : public CoreTest {
 protected:
  void running(int jobs = 1) {
    submit(jobs);
    start();
    worker("w1", 1);
    expect_given("w1", {0});
  }
  void stop(StopKind kind = StopKind::kInterrupt) {
    step(StopRequested{kind});
    drain();
  }
  // The run is over for this cause, and the worker is told to stop.
  template <class Cause>
  Cause expect_over_by() {
    const auto over = expect<RunOver>();
    expect<SendLane>([](const SendLane& down) { return std::holds_alternative<Stop>(down.message); });
    const auto* cause = over ? std::get_if<Cause>(&over->end) : nullptr;
    EXPECT_NE(cause, nullptr) << "of another kind";
    return cause != nullptr ? *cause : Cause{};
  }
  void grace_after(StopKind kind) {
    options.grace = seconds(5);
    running();
    stop(kind);
    expect_recalled("w1", {0});
    advance_by_deadlines(seconds(5) - milliseconds(1));
    EXPECT_EQ(phase(), "draining");
    expect_nothing();
    advance_by_deadlines(milliseconds(1));
    EXPECT_EQ(phase(), "cancelling");
    drain();
    expect_cancelled("w1", {0});
    returns("w1", 0, ReturnReason::kStopped);
    drain();
    EXPECT_EQ(expect_over_by<Stopped>().by, kind);
  }
  std::string phase() const { return snapshot().phase; }
};

TEST_F(EndingTest, IsOverOnlyWhenTheLastRecordIsDurable) {
  running();
  disk_held = true;
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  advance(seconds(5));
  EXPECT_EQ(phase(), "finishing");
  expect_nothing();
  make_durable();
  drain();
  const auto over = expect<RunOver>();
  EXPECT_TRUE(std::get<AllRecorded>(over->end).all_ok);
  expect<SendLane>([](const SendLane& down) { return std::holds_alternative<Stop>(down.message); });
}

TEST_F(EndingTest, AFirstSignalStartsNothingMoreAndWaitsForWhatRuns) {
  running(2);
  stop();
  expect_recalled("w1", {0});  // unless it runs already
  EXPECT_EQ(phase(), "draining");
  advance(seconds(5));
  expect_nothing();
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  advance(milliseconds(250));
  EXPECT_TRUE(std::holds_alternative<Stopped>(expect<RunOver>()->end));
  expect<SendLane>();
}

TEST_F(EndingTest, ASecondSignalCancelsWhatRuns) {
  running();
  stop();
  expect_recalled("w1", {0});
  stop();
  expect_cancelled("w1", {0});
  EXPECT_EQ(phase(), "cancelling");
  returns("w1", 0, ReturnReason::kStopped);
  drain();
  EXPECT_TRUE(std::holds_alternative<Stopped>(expect<RunOver>()->end));
  expect<SendLane>();
}

TEST_F(EndingTest, AThirdSignalLeavesAtOnce) {
  running();
  stop();
  expect_recalled("w1", {0});
  stop();
  expect_cancelled("w1", {0});
  stop();
  EXPECT_TRUE(std::holds_alternative<Stopped>(expect<Finish>()->end));
}

TEST_F(EndingTest, ASecondSignalDoesNotWaitForWorkersThatMayCome) {
  submit(1);
  start();
  stop();
  expect<RunOver>();
  advance(seconds(1));  // one that came now would hear that the run is over
  expect_nothing();
  stop();
  EXPECT_TRUE(std::holds_alternative<Stopped>(expect<Finish>()->end));
}

TEST_F(EndingTest, TwoSignalsInAShortRunWaitForThoseWhoAreThere) {
  running();
  stop();
  expect_recalled("w1", {0});
  stop();
  expect_cancelled("w1", {0});
  returns("w1", 0, ReturnReason::kStopped);
  drain();
  expect_over();
  advance(seconds(1));
  expect_nothing();
  say("w1", Goodbye{});
  drain();
  expect<SendLane>();
  expect<CloseSession>();
  expect_report<WorkerLeft>();
  expect<Finish>();
}

// ---- causes other than signals ----

TEST_F(EndingTest, AChangedJobsFileStartsNothingMoreAndWaitsForWhatRuns) {
  running(2);
  step(JobsFileChanged{7});
  EXPECT_EQ(expect_report<JobsFileRefused>()->line, 7u);
  expect_recalled("w1", {0});
  EXPECT_EQ(phase(), "draining");
  step(JobsFileChanged{8});  // is said once
  advance(seconds(60));      // and nobody is hurried
  expect_nothing();
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  drain();
  EXPECT_EQ(expect_over_by<JobsChanged>().line, 7u);
}

TEST_F(EndingTest, AnInputThatBreaksStartsNothingMoreAndWaitsForWhatRuns) {
  options.streaming = true;
  running(2);
  step(InputBroken{"cannot read standard input: EIO"});
  expect_recalled("w1", {0});
  EXPECT_EQ(phase(), "draining");
  advance(seconds(60));
  expect_nothing();
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  drain();
  expect_over_by<JobsUnreadable>();
}

// What was to come is not known.
TEST_F(EndingTest, AnInputThatBreaksIsTheCauseEvenIfEveryJobThatCameIsRecorded) {
  options.streaming = true;
  running();
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  advance(seconds(1));
  expect_nothing();
  step(InputBroken{"EIO"});
  drain();
  expect_over_by<JobsUnreadable>();
}

TEST_F(EndingTest, ALocalWorkerThatFailsEndsARunThatNobodyElseCanJoin) {
  options.listening = false;
  running(2);
  step(LocalWorkerFailed{"no /proc"});
  expect_recalled("w1", {0});
  EXPECT_EQ(phase(), "draining");
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  drain();
  EXPECT_EQ(expect_over_by<NoLocalWorker>().problem, "no /proc");
}

TEST_F(EndingTest, ALocalWorkerThatFailsIsNoReasonToEndIfOthersMayCome) {
  running(2);
  step(LocalWorkerFailed{"no /proc"});
  EXPECT_EQ(phase(), "running");
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_given("w1", {1});
  ends("w1", 1);
  expect_recorded(1, Status::kOk);
  EXPECT_TRUE(expect_over_by<AllRecorded>().all_ok);
}

TEST_F(EndingTest, TheFirstCauseIsTheOneThatIsReported) {
  options.listening = false;
  options.streaming = true;
  running(2);
  step(InputBroken{"EIO"});
  expect_recalled("w1", {0});
  step(LocalWorkerFailed{"no /proc"});
  step(JobsFileChanged{7});
  returns("w1", 0);
  drain();
  expect_over_by<JobsUnreadable>();
}

TEST_F(EndingTest, ACauseThatLeftNothingUndoneIsNone) {
  running();
  step(JobsFileChanged{7});
  expect_report<JobsFileRefused>();
  expect_recalled("w1", {0});
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  drain();
  expect_over_by<AllRecorded>();
}

// ---- the grace of a signal ----

TEST_F(EndingTest, AFirstSigtermDoesAfterTheGraceWhatASecondWouldDo) { grace_after(StopKind::kTerminate); }
TEST_F(EndingTest, AFirstSighupToo) { grace_after(StopKind::kHangup); }

TEST_F(EndingTest, AFirstSigintHasNoGrace) {
  options.grace = seconds(1);
  running();
  say("w1", Beat{0, {}, {begun(0, milliseconds(1))}, {}});
  stop(StopKind::kInterrupt);
  expect_recalled("w1", {0});
  advance(seconds(3600));
  EXPECT_EQ(phase(), "draining");
}

TEST_F(EndingTest, WhatCannotBeCancelledIsLeftAfter7Seconds) {
  running();
  stop();
  expect_recalled("w1", {0});
  stop();
  expect_cancelled("w1", {0});
  advance(milliseconds(6750));
  expect_nothing();
  advance(milliseconds(250));
  EXPECT_EQ(expect_over_by<Stopped>().by, StopKind::kInterrupt);
}

// ---- jobs that nobody can run ----

TEST_F(EndingTest, AJobThatNobodyCanRunEndsTheRunAfterAWhile) {
  options.unsatisfiable_after = seconds(20);
  submit(1, {.slots = 2});
  start();
  worker("w1", 1);
  advance(seconds(11));
  EXPECT_FALSE(expect_report<JobUnsatisfiable>()->given_up);
  advance(seconds(10));
  EXPECT_TRUE(expect_report<JobUnsatisfiable>()->given_up);
  EXPECT_TRUE(std::holds_alternative<NobodyFits>(expect<RunOver>()->end));
  expect<SendLane>();
}

// Each new host of a stream is a key of its own.
TEST_F(EndingTest, WhatIsLackingIsToldOnceForAllKeysOfAStream) {
  options.streaming = true;
  start();
  worker("w1", 1);
  const auto arrives = [&](const std::string& id, const std::string& key, std::uint32_t slots) {
    JobArrived arrived;
    arrived.job.facts.id = id;
    arrived.job.facts.key = key_of_id(id);
    arrived.job.facts.slots = slots;
    arrived.job.work = "{}";
    arrived.requirement.slots = slots;
    arrived.requirement.limits.push_back({key, LimitRule{1, 0, Duration{0}}});
    step(std::move(arrived));
  };
  arrives("a", "host:a", 2);
  advance(seconds(11));
  EXPECT_EQ(expect_report<JobUnsatisfiable>()->jobs, 1u);
  arrives("b", "host:b", 2);
  arrives("c", "host:c", 3);
  advance(seconds(11));
  EXPECT_EQ(expect_report<JobUnsatisfiable>()->requirement.slots, 3u);
  expect_nothing();
}

TEST_F(EndingTest, ADispatcherThatStandsStillGivesNothingUpForThat) {
  options.unsatisfiable_after = seconds(20);
  submit(1, {.slots = 2});
  start();
  worker("w1", 1);
  advance(seconds(5));
  sleep_without_a_look(seconds(60));
  expect_nothing();
  advance(seconds(6));
  EXPECT_FALSE(expect_report<JobUnsatisfiable>()->given_up);
  expect_nothing();
  advance(seconds(10));
  EXPECT_TRUE(expect_report<JobUnsatisfiable>()->given_up);
  EXPECT_TRUE(std::holds_alternative<NobodyFits>(expect<RunOver>()->end));
  expect<SendLane>();
}

TEST_F(EndingTest, AWorkerThatRunsOneOfThemAndLeavesBetweenTwoLooksCounts) {
  options.unsatisfiable_after = seconds(20);
  submit(1, {.slots = 2});
  submit(1, {.slots = 3});
  start();
  worker("w1", 1);
  advance(seconds(15));
  EXPECT_FALSE(expect_report<JobUnsatisfiable>()->given_up);
  EXPECT_FALSE(expect_report<JobUnsatisfiable>()->given_up);
  worker("w2", 2);
  expect_given("w2", {0});
  ends("w2", 0);
  expect_recorded(0, Status::kOk);
  advance(seconds(15));
  expect_nothing();
  advance(seconds(6));
  EXPECT_TRUE(expect_report<JobUnsatisfiable>()->given_up);
  EXPECT_TRUE(std::holds_alternative<NobodyFits>(expect<RunOver>()->end));
  expect<SendLane>();
  expect<SendLane>();
}

TEST_F(EndingTest, EverybodyIsToldAndThenTheRunIsFinished) {
  running();
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_over();
  say("w1", Goodbye{});
  falls_silent("w1");
  expect<SendLane>();
  expect<CloseSession>();
  expect_report<WorkerLeft>();
  advance(seconds(4));
  expect<Finish>();
}

}  // namespace
}  // namespace workpool::dispatcher
