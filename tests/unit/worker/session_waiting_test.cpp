// SPDX-License-Identifier: MIT
// A session without a dispatcher: how long it waits, what it says meanwhile, and that it never spins.
#include <gtest/gtest.h>

#include "tests/unit/worker/session_fixture.h"

namespace workpool::worker {
namespace {

class SessionWaiting : public SessionFixture {};

TEST_F(SessionWaiting, FirstContactHasNoLimit) {
  start();
  pass(seconds(3600), Answer::kNobody);
  EXPECT_FALSE(code_);
  EXPECT_NEAR(static_cast<double>(times_said<WaitingForDispatcher>()), 360, 10);
}

// An engine that died before any contact leaves nothing to be orphaned of.
TEST_F(SessionWaiting, FirstContactHasNoLimitForALaterEngineEither) {
  options_.engine = 3;
  start();
  pass(seconds(600), Answer::kNobody);
  EXPECT_FALSE(code_);
}

TEST_F(SessionWaiting, ALaterEngineOfAWorkerThatHadADispatcherHasTheGrace) {
  options_.engine = 2;
  options_.run = kRun;
  start();
  pass(seconds(59), Answer::kNobody);
  EXPECT_FALSE(code_);
  pass(seconds(2), Answer::kNobody);
  EXPECT_EQ(code_, 69);
}

// The keys of an earlier engine's death say nothing about the jobs of another run.
TEST_F(SessionWaiting, DeathsOfAnotherRunAreForgotten) {
  options_.engine = 2;
  options_.run = {kRun.value + 1};
  step(DeathsKnown{{{1, "signal 11", {Key{{1, 2}}}}}});
  start();
  Actions actions;
  Welcome welcome;
  welcome.run = kRun;
  welcome.session = {1};
  welcome.worker_timeout = seconds(10);
  session().step(Welcomed{*asked_, welcome}, now_, actions);
  bool forgot = false;
  for (const Action& action : actions) {
    forgot = forgot || std::holds_alternative<ForgetDeaths>(action);
    const auto* sent = std::get_if<SendSink>(&action);
    EXPECT_FALSE(sent != nullptr && std::holds_alternative<Died>(sent->message));
  }
  EXPECT_TRUE(forgot);
}

TEST_F(SessionWaiting, AGraceOfNothingStillMakesOneTry) {
  options_.first_contact = options_.orphan_grace = Duration(0);
  start();
  pass(seconds(4), Answer::kNone);
  EXPECT_FALSE(code_);
  answer(Answer::kNobody);
  step(Drained{});
  EXPECT_EQ(code_, 69);
}

TEST_F(SessionWaiting, ASilentPortCostsNothingUntilItsTryIsOver) {
  start();
  step(Drained{});
  EXPECT_FALSE(session().next_deadline()) << "the answer of the registrar is an event";
}

TEST_F(SessionWaiting, KeepNeverLeavesAndNeverSpins) {
  options_.keep = true;
  start();
  run_a_job();
  pass(seconds(200), Answer::kNobody);
  EXPECT_FALSE(code_);
  EXPECT_EQ(killed_.size(), 1U);
  EXPECT_EQ(times_said<Orphaned>(), 1U);
}

TEST_F(SessionWaiting, AnOrphanKillsWhatRunsAndLeaves) {
  start();
  run_a_job();
  pass(seconds(69), Answer::kNobody);  // 10 s of silence, then registering, of the 60 s since the last frame
  EXPECT_FALSE(code_ && killed_.empty());
  EXPECT_EQ(killed_.size(), 1U);
  step(AttemptsEnded{{AttemptEnded{killed_.front(), AttemptEnd::kStopped, {}, {}, false}}});
  step(Drained{});
  EXPECT_EQ(code_, 69);
}

// Both ends were stopped for longer than the grace: the dispatcher is there a moment later.
TEST_F(SessionWaiting, AFreezeOfBothEndsIsNoLossOfTheDispatcher) {
  start();
  run_a_job();
  now_ += seconds(600);
  step(SinkGone{{sessions_}});
  step(Drained{});
  EXPECT_FALSE(code_);
  pass(seconds(49), Answer::kNobody);
  EXPECT_FALSE(code_);
  EXPECT_TRUE(killed_.empty()) << "at most one worker timeout of the past counts";
  pass(seconds(2), Answer::kNobody);
  EXPECT_EQ(killed_.size(), 1U);
}

TEST_F(SessionWaiting, AfterAFreezeAGraceShorterThanDNeedsATryToo) {
  options_.orphan_grace = seconds(1);
  start();
  answer(Answer::kNobody);  // a failure of long ago
  pass(seconds(1), Answer::kNone);
  run_a_job();
  now_ += seconds(600);
  step(Drained{});
  pass(seconds(1), Answer::kNone);
  EXPECT_TRUE(killed_.empty());
  ASSERT_TRUE(asked_);
  answer(Answer::kWelcome);
  step(Drained{});
  EXPECT_FALSE(code_);
  EXPECT_TRUE(killed_.empty());
}

// The try of before the freeze ends in it; that says nothing about who is there now.
TEST_F(SessionWaiting, AFreezeWhileRegisteringNeedsAnotherTry) {
  start();
  run_a_job();
  step(SinkGone{{sessions_}});
  pass(seconds(20), Answer::kNobody);
  now_ += seconds(600);
  if (asked_) answer(Answer::kNobody);
  step(Drained{});
  EXPECT_FALSE(code_);
  pass(seconds(45), Answer::kNobody);
  EXPECT_FALSE(code_);
  EXPECT_TRUE(killed_.empty());
}

TEST_F(SessionWaiting, LaterIsAnAnswerOfADispatcherThatIsThere) {
  start();
  run_a_job();
  step(SinkGone{{sessions_}});
  const std::size_t before = times_said<WaitingForDispatcher>();
  pass(seconds(300), Answer::kLater);
  EXPECT_FALSE(code_);
  EXPECT_TRUE(killed_.empty());
  EXPECT_NEAR(static_cast<double>(times_said<WaitingForDispatcher>() - before), 30, 2);
  pass(seconds(59), Answer::kNobody);
  EXPECT_TRUE(killed_.empty());
  pass(seconds(2), Answer::kNobody);
  EXPECT_EQ(killed_.size(), 1U);
}

TEST_F(SessionWaiting, AForbiddenAddressEndsFirstContact) {
  start();
  answer(Answer::kNotAllowed);
  step(Drained{});
  EXPECT_EQ(code_, 78);
  EXPECT_EQ(times_said<NotAllowed>(), 1U);
}

// The name leads elsewhere now: what runs and what is kept here waits for it to come back, as for any try
// that fails.
TEST_F(SessionWaiting, AForbiddenAddressAfterContactIsATryThatFailed) {
  start();
  run_a_job();
  step(SinkGone{{sessions_}});
  pass(seconds(30), Answer::kNotAllowed);
  EXPECT_FALSE(code_);
  EXPECT_TRUE(killed_.empty());
  pass(seconds(1), Answer::kWelcome);
  EXPECT_FALSE(code_);
  EXPECT_TRUE(session().active());
}

// GOODBYE is out shortly before the stop's time is over: its answer is not waited for beyond that.
TEST_F(SessionWaiting, AStopEndsInTimeAlsoWhileItIsLeaving) {
  options_.grace = seconds(1);
  start();
  run_a_job();
  const Time stopped = now_;
  step(StopAsked{});
  pass(seconds(6), Answer::kNone);
  step(AttemptsEnded{{AttemptEnded{running_.front(), AttemptEnd::kStopped, {}, {}, false}}});
  step(Drained{});
  deliver(LaneBeat{1, sent_, sent_});
  step(Drained{});
  EXPECT_FALSE(session().active());
  EXPECT_FALSE(code_);
  pass(seconds(2), Answer::kNone);
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(now_, stopped + seconds(7));
}

// Nothing runs, but a result is held: a dispatcher that takes it is waited for as long as the grace, not
// longer.
TEST_F(SessionWaiting, AResultIsHeldForTheGraceOfAStop) {
  options_.grace = seconds(5);
  start();
  run_a_job();
  step(SinkGone{lane_.session});
  step(AttemptsEnded{{AttemptEnded{running_.front(), AttemptEnd::kOutcome, {}, milliseconds(1), false}}});
  const Time stopped = now_;
  step(StopAsked{});
  pass(seconds(60), Answer::kNobody);
  EXPECT_EQ(code_, 0);
  EXPECT_EQ(now_, stopped + seconds(5));
  EXPECT_EQ(times_said<ResultsLeft>(), 1U);
}

TEST_F(SessionWaiting, ASecondStopDoesNotWaitForOne) {
  start();
  run_a_job();
  step(SinkGone{lane_.session});
  step(AttemptsEnded{{AttemptEnded{running_.front(), AttemptEnd::kOutcome, {}, milliseconds(1), false}}});
  step(StopAsked{});
  step(Drained{});
  EXPECT_FALSE(code_);
  step(StopAsked{});
  step(Drained{});
  EXPECT_EQ(code_, 0);
}

// ---- both directions ----

TEST_F(SessionWaiting, ItHasJoinedOnceBothWaysWork) {
  start();
  answer(Answer::kWelcome);
  deliver(LaneBeat{1, 0, 0});
  EXPECT_EQ(times_said<Joined>(), 0U);
  deliver(LaneBeat{2, 0, 1});
  deliver(LaneBeat{3, 0, 2});
  EXPECT_EQ(times_said<Joined>(), 1U);
}

TEST_F(SessionWaiting, ThePortForResultsIsNamed) {
  start();
  answer(Answer::kWelcome);
  deliver(LaneBeat{1, 0, 0});
  step(SinkGone{{1}});
  now_ += seconds(11);
  step(Drained{});
  EXPECT_EQ(times_said<Joined>(), 0U);
  ASSERT_EQ(times_said<WaitingForDispatcher>(), 1U);
  EXPECT_EQ(last_said<WaitingForDispatcher>().cause, AloneCause(PortsOutOfReach{std::nullopt, 5600}));
}

// ---- a dispatcher that ends each session at once ----

class SessionEnded : public SessionFixture {
 protected:
  // Sessions that END ends at once, for so long; how many there were.
  std::uint64_t sessions_in(Duration time, bool with_job = false) {
    start();
    const std::uint64_t before = sessions_;
    for (const Time end = now_ + time; now_ < end && !code_;) {
      if (asked_) {
        answer(Answer::kWelcome);
        if (with_job) deliver(Jobs{0, 1, {order()}});
        deliver(End{});
        now_ += milliseconds(1);
      }
      step(Drained{});
      if (!asked_) now_ = std::min(end, std::max(now_, session().next_deadline().value_or(end)));
    }
    return sessions_ - before;
  }
  static JobOrder order() {
    JobOrder order;
    order.handle = {1};
    order.attempt = 1;
    order.work = R"({"cmd":["true"]})";
    return order;
  }
};

TEST_F(SessionEnded, ItIsAskedLessAndLessOften) {
  const std::uint64_t sessions = sessions_in(seconds(60));
  RecordProperty("sessions_in_a_minute", static_cast<int>(sessions));  // 15
  EXPECT_LE(sessions, 30U);
  EXPECT_GE(sessions, 10U);
}

TEST_F(SessionEnded, TheFirstRetryIsAsQuickAsAlways) {
  start();
  answer(Answer::kWelcome);
  deliver(LaneBeat{1, 0, 1});
  deliver(End{});
  step(Drained{});
  EXPECT_TRUE(asked_);
}

TEST_F(SessionEnded, ASessionThatBroughtAJobIsNoReasonToWait) {
  EXPECT_GT(sessions_in(seconds(2), true), 100U);
}

TEST_F(SessionEnded, TheGraceHoldsAllTheSame) {
  options_.orphan_grace = seconds(3);
  sessions_in(seconds(30));
  ASSERT_FALSE(code_);
  const Time gone = now_;
  pass(seconds(20), Answer::kNobody);
  EXPECT_EQ(code_, 69);
  EXPECT_LE(now_ - gone, seconds(5));
}

}  // namespace
}  // namespace workpool::worker
