// SPDX-License-Identifier: MIT
// Leaving by the clock: --idle, --for, and --keep, which stays.
#include <gtest/gtest.h>

#include "tests/unit/worker/session_fixture.h"
#include "worker/core/median_time.h"

namespace workpool::worker {
namespace {

TEST(MedianTime, TheMedianIsKnownWithinAQuarter) {
  MedianTime times;
  EXPECT_EQ(times.median(), Duration{0});
  const std::vector<Duration> samples = {Duration{0},
                                         Duration{1},
                                         Duration{3},
                                         Duration{4},
                                         Duration{5},
                                         milliseconds(1),
                                         milliseconds(7),
                                         seconds(1),
                                         seconds(3),
                                         seconds(4000),
                                         std::chrono::hours(876'000)};
  for (const Duration one : samples) {
    MedianTime alone;
    alone.note(one);
    EXPECT_GE(alone.median(), one);
    EXPECT_LE(alone.median(), std::max(Duration{4}, one + one / 4));
  }
  for (int i = 0; i < 4; ++i) times.note(milliseconds(10));
  for (int i = 0; i < 3; ++i) times.note(seconds(100));
  EXPECT_LT(times.median(), milliseconds(13));
  times.note(seconds(100));
  times.note(seconds(100));
  EXPECT_GE(times.median(), seconds(100));
}

class SessionTime : public SessionFixture {
 protected:
  void join() {
    start();
    answer(Answer::kWelcome);
  }
  JobOrder order(std::uint64_t number, Duration timeout = Duration{0}) {
    JobOrder made;
    made.handle = {number};
    made.id = std::to_string(number);
    made.key = key_of_id(made.id);
    made.attempt = 1;
    made.timeout = timeout;
    made.work = R"({"cmd":["true"]})";
    return made;
  }
  void give(std::vector<JobOrder> orders) {
    deliver(Jobs{0, sent_, std::move(orders)});
    step(Drained{});
  }
  void ends(std::size_t started, Duration ran) {
    step(AttemptsEnded{{AttemptEnded{running_.at(started), AttemptEnd::kOutcome, {}, ran}}});
    step(Drained{});
  }
  // The dispatcher takes what it was sent.
  void ack() {
    deliver(LaneBeat{1, sent_, sent_});
    step(Drained{});
  }
  // Time passes with a dispatcher that says a word every second.
  void pass_with_a_dispatcher(Duration time) {
    for (const Time end = now_ + time; now_ < end && !code_;) {
      pass(std::min<Duration>(seconds(1), end - now_), Answer::kWelcome);
      if (!code_) ack();
    }
  }
};

TEST_F(SessionTime, LeavesWhenNothingCameForSoLong) {
  options_.idle = seconds(60);
  join();
  give({order(1)});
  pass_with_a_dispatcher(seconds(300));
  EXPECT_EQ(times_said<NothingCame>(), 0U) << "it works";
  ends(0, seconds(300));
  ack();
  pass_with_a_dispatcher(seconds(55));
  EXPECT_FALSE(code_);
  pass_with_a_dispatcher(seconds(10));
  EXPECT_EQ(times_said<NothingCame>(), 1U);
  EXPECT_FALSE(accepting_);
  EXPECT_EQ(code_, 0);
}

TEST_F(SessionTime, AlsoIfThereIsNoDispatcher) {
  options_.idle = seconds(60);
  start();
  pass(seconds(59), Answer::kNobody);
  EXPECT_FALSE(code_);
  pass(seconds(2), Answer::kNobody);
  EXPECT_EQ(code_, 0);
}

TEST_F(SessionTime, TakesOnlyWhatCanStillBeDone) {
  options_.leave_at = now_ + seconds(100);
  options_.grace = seconds(10);
  join();
  give({order(1, seconds(95)), order(2, seconds(93))});
  EXPECT_EQ(returned_, 1U) << "six seconds are kept for killing";
  EXPECT_EQ(running_.size(), 1U);
  EXPECT_EQ(last_reason_, ReturnReason::kNoTime);
  ends(0, seconds(20));
  give({order(3)});  // twice the median fits
  EXPECT_EQ(running_.size(), 2U);
  pass_with_a_dispatcher(seconds(55));
  give({order(4), order(5, seconds(5))});
  EXPECT_EQ(returned_, 2U) << "for one of them it is too late";
  EXPECT_EQ(running_.size(), 3U);
  EXPECT_TRUE(accepting_);
}

TEST_F(SessionTime, WhatWaitsTooLongGoesBack) {
  options_.leave_at = now_ + seconds(100);
  options_.grace = seconds(10);
  options_.slots = 1;
  join();
  give({order(1), order(2, seconds(60))});
  EXPECT_EQ(returned_, 0U);
  pass_with_a_dispatcher(seconds(40));
  EXPECT_EQ(returned_, 1U);
  EXPECT_EQ(last_reason_, ReturnReason::kNoTime);
}

TEST_F(SessionTime, StartsNothingNearTheEndAndIsGoneThen) {
  options_.leave_at = now_ + seconds(100);
  options_.grace = seconds(10);
  const Time end = *options_.leave_at;
  join();
  give({order(1)});
  pass_with_a_dispatcher(seconds(83));
  EXPECT_EQ(times_said<TimeIsUp>(), 0U);
  pass_with_a_dispatcher(seconds(2));
  EXPECT_EQ(times_said<TimeIsUp>(), 1U);
  EXPECT_EQ(last_said<TimeIsUp>().jobs, 1U);
  EXPECT_FALSE(accepting_);
  EXPECT_TRUE(killed_.empty());
  pass_with_a_dispatcher(seconds(10));
  EXPECT_EQ(killed_.size(), 1U);
  pass_with_a_dispatcher(seconds(6));
  EXPECT_EQ(code_, 0);
  EXPECT_LE(now_, end);
}

TEST_F(SessionTime, KeepStaysForTheNextRun) {
  options_.keep = true;
  join();
  give({order(1)});
  ends(0, seconds(1));
  deliver(Stop{});
  step(Drained{});
  EXPECT_FALSE(code_);
  EXPECT_TRUE(last_said<RunIsOver>().waits);
  const std::size_t complaints = times_said<WaitingForDispatcher>();
  pass(seconds(3600), Answer::kNobody);
  EXPECT_FALSE(code_);
  EXPECT_EQ(times_said<WaitingForDispatcher>(), complaints) << "nobody is missed";
  EXPECT_EQ(times_said<Orphaned>(), 0U);
  pass(seconds(10), Answer::kWelcome);
  give({order(2)});
  EXPECT_EQ(running_.size(), 2U);
}

TEST_F(SessionTime, KeepEndsWithAStopOrWhenIdle) {
  options_.keep = true;
  options_.idle = seconds(60);
  join();
  deliver(Stop{});
  step(Drained{});
  pass(seconds(30), Answer::kNobody);
  EXPECT_FALSE(code_);
  pass(seconds(31), Answer::kNobody);
  EXPECT_EQ(code_, 0);
}

}  // namespace
}  // namespace workpool::worker
