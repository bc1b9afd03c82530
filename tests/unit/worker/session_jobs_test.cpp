// SPDX-License-Identifier: MIT
// What a session does with the jobs that it is given, whatever the dispatcher is like.
#include <gtest/gtest.h>

#include "tests/unit/worker/session_fixture.h"

namespace workpool::worker {
namespace {

class SessionJobs : public SessionFixture {
 protected:
  void join() {
    start();
    answer(Answer::kWelcome);
  }
  static JobOrder order(std::uint64_t number, std::uint32_t slots = 1) {
    JobOrder made;
    made.handle = {number};
    made.id = std::to_string(number);
    made.key = key_of_id(made.id);
    made.attempt = 1;
    made.slots = slots;
    made.work = R"({"cmd":["true"]})";
    return made;
  }
  void give(std::vector<JobOrder> orders) {
    deliver(Jobs{0, sent_, std::move(orders)});
    step(Drained{});
  }
  void ends_by_a_signal(std::uint64_t token, std::size_t bytes = 0) {
    AttemptEnded ended{token, AttemptEnd::kDoubtful, {}, milliseconds(1)};
    ended.outcome.status = Status::kFailed;
    ended.outcome.kind = ErrorKind::kSignal;
    ended.outcome.command.emplace().standard_output.assign(bytes, 'x');
    step(AttemptsEnded{{std::move(ended)}});
  }
  void dies_of_a_signal(std::uint64_t token) {
    ends_by_a_signal(token);
    step(Drained{});
  }
};

TEST_F(SessionJobs, ACommandThatASignalKilledGivesItsSlotBackAtOnce) {
  options_.slots = 1;
  join();
  give({order(1), order(2)});
  ASSERT_EQ(running_.size(), 1u);
  dies_of_a_signal(running_[0]);
  EXPECT_EQ(running_.size(), 2u);
  EXPECT_EQ(results_, 0u) << "a stop may follow";
  pass(milliseconds(300), Answer::kWelcome);
  EXPECT_EQ(results_, 1u);
  EXPECT_EQ(returned_, 0u);
}

TEST_F(SessionJobs, TheDispatcherHearsAtOnceThatItHasEndedAndOnlyOnce) {
  join();
  give({order(1), order(2)});
  const std::size_t before = beats_;
  ends_by_a_signal(running_[1]);
  ends_by_a_signal(running_[0]);
  EXPECT_EQ(beats_, before) << "one beat for all of a turn";
  step(Drained{});
  EXPECT_EQ(ended_, (std::vector<std::uint64_t>{2, 1}));
  EXPECT_EQ(beats_, before + 1);
  pass(seconds(5), Answer::kWelcome);
  EXPECT_GT(beats_, before + 1);
  EXPECT_EQ(ended_.size(), 2u);
  EXPECT_EQ(results_, 2u);
}

TEST_F(SessionJobs, OrdinaryBeatsNameNothing) {
  join();
  give({order(1), order(2)});  // the second one goes on
  step(AttemptsEnded{{AttemptEnded{running_[0], AttemptEnd::kOutcome, {}, milliseconds(1)}}});
  step(Drained{});
  pass(seconds(5), Answer::kWelcome);
  EXPECT_GT(beats_, 2u);
  EXPECT_TRUE(ended_.empty());
}

TEST_F(SessionJobs, WhatJobsSayOfTheirProgressGoesOutWithTheNextBeat) {
  const auto said = [](std::uint64_t token, std::uint32_t thousandths) {
    return JobProgressed{token, {thousandths, "x"}};
  };
  options_.slots = 3;
  join();
  give({order(1), order(2), order(3)});
  ASSERT_EQ(running_.size(), 3u);
  step(JobsProgressed{{said(running_[0], 100), said(running_[1], 200), said(running_[2], 300), said(77, 1)}});
  step(JobsProgressed{{said(running_[0], 150)}});
  EXPECT_TRUE(progress_.empty());
  step(AttemptsEnded{{AttemptEnded{running_[1], AttemptEnd::kOutcome, {}, seconds(1)}}});
  pass(seconds(5), Answer::kWelcome);
  ASSERT_EQ(progress_.size(), 2u) << "once, and nothing of what has ended";
  EXPECT_EQ(progress_[0], (JobProgress{Handle{1}, {150, "x"}}));
  EXPECT_EQ(progress_[1], (JobProgress{Handle{3}, {300, "x"}}));
}

TEST_F(SessionJobs, MuchProgressIsToldByAndBy) {
  options_.slots = 500;
  join();
  std::vector<JobOrder> orders;
  for (std::uint64_t i = 1; i <= 500; ++i) orders.push_back(order(i));
  give(std::move(orders));
  JobsProgressed all;
  for (const std::uint64_t token : running_) all.jobs.push_back({token, {1, std::string(200, 'x')}});
  const std::size_t before = beats_;
  step(std::move(all));
  for (int i = 0; i < 200 && progress_.empty(); ++i) pass(milliseconds(100), Answer::kWelcome);
  EXPECT_EQ(beats_, before + 1);
  EXPECT_GT(progress_.size(), 50u);
  EXPECT_LT(progress_.size(), 100u);
  pass(seconds(4), Answer::kWelcome);
  deliver(LaneBeat{1, sent_, sent_});
  pass(seconds(5), Answer::kWelcome);
  ASSERT_EQ(progress_.size(), 500u);
  EXPECT_EQ(progress_.back().handle, Handle{500});
}

TEST_F(SessionJobs, WhatRunsForOverASecondIsNamedOnceInASession) {
  options_.slots = 2;
  join();
  give({order(1), order(2), order(3)});
  pass(milliseconds(900), Answer::kWelcome);
  EXPECT_TRUE(begun_.empty());
  const Time first_named = now_ + seconds(2);
  pass(seconds(5), Answer::kWelcome);
  deliver(LaneBeat{1, sent_, sent_});
  ASSERT_EQ(begun_.size(), 2u) << "the third one waits";
  EXPECT_EQ(begun_[0].handle, Handle{1});
  EXPECT_GE(begun_[0].elapsed, seconds(1));
  EXPECT_LE(begun_[0].elapsed, first_named - Time{seconds(1000)});
  step(AttemptsEnded{{AttemptEnded{running_[0], AttemptEnd::kOutcome, {}, seconds(5)}}});
  step(Drained{});
  pass(seconds(5), Answer::kWelcome);
  ASSERT_EQ(begun_.size(), 3u);
  EXPECT_EQ(begun_[2].handle, Handle{3});
  // The next session names what runs in HELD.
  step(SinkGone{lane_.session});
  pass(seconds(15), Answer::kWelcome);
  EXPECT_EQ(held_, 2u);
  EXPECT_EQ(begun_.size(), 3u);
}

TEST_F(SessionJobs, WhatEndsWithoutASessionIsNamedByNoLaterOne) {
  join();
  give({order(1), order(2)});
  ends_by_a_signal(running_[0]);
  step(SinkGone{lane_.session});
  ends_by_a_signal(running_[1]);
  pass(seconds(5), Answer::kWelcome);
  EXPECT_TRUE(ended_.empty()) << "handles mean nothing there: HELD has named them";
  EXPECT_EQ(results_, 2u);
}

TEST_F(SessionJobs, WhatIsInDoubtCountsAsKeptSoThatItCannotFillTheMemory) {
  join();
  give({order(1), order(2)});
  EXPECT_TRUE(accepting_);
  ends_by_a_signal(running_[0], 65 << 20);
  step(Drained{});
  EXPECT_FALSE(accepting_);
  deliver(Cancel{{{Handle{1}, order(1).key, 1}}});
  step(Drained{});
  EXPECT_TRUE(accepting_) << "it is gone";
}

TEST_F(SessionJobs, WhatAStopMayHaveKilledIsReturned) {
  join();
  give({order(1), order(2)});
  dies_of_a_signal(running_[0]);
  step(StopAsked{});
  step(Drained{});
  EXPECT_EQ(results_, 0u);
  EXPECT_EQ(returned_, 1u);
  dies_of_a_signal(running_[1]);
  EXPECT_EQ(returned_, 2u) << "also what dies after the stop";
}

TEST_F(SessionJobs, ADoubtfulResultOutlivesItsSession) {
  join();
  give({order(1)});
  dies_of_a_signal(running_[0]);
  step(SinkGone{lane_.session});
  pass(seconds(1), Answer::kWelcome);
  EXPECT_EQ(results_, 1u);
}

// Otherwise the next session would name it as running, and it would wait behind what runs here while other
// workers have nothing to do.
TEST_F(SessionJobs, WhatHasNotBegunGoesBackWithItsSession) {
  join();
  give({order(1), order(2)});
  ASSERT_EQ(running_.size(), 2u);
  step(SinkGone{lane_.session});
  EXPECT_EQ(unstarted_, running_) << "the runner knows which of them it has begun";
  step(AttemptsEnded{{{running_[1], AttemptEnd::kNotStarted, {}, Duration{0}}}});
  EXPECT_EQ(returned_, 0u) << "there is nobody to tell";
  pass(seconds(1), Answer::kWelcome);
  EXPECT_EQ(held_, 1u);
}

TEST_F(SessionJobs, OneThatIsCancelledWhileItsResultIsInDoubtIsReturned) {
  join();
  give({order(1)});
  dies_of_a_signal(running_[0]);
  deliver(Cancel{{{Handle{1}, order(1).key, 1}}});
  pass(seconds(1), Answer::kWelcome);
  EXPECT_EQ(returned_, 1u);
  EXPECT_EQ(results_, 0u);
  EXPECT_TRUE(killed_.empty());
}

TEST_F(SessionJobs, AJobWiderThanTheWorkerIsReturned) {
  join();
  give({order(1, 3), order(2, 2)});
  EXPECT_EQ(returned_, 1u);
  EXPECT_EQ(running_.size(), 1u) << "and blocks nobody";
}

TEST_F(SessionJobs, AJobOfAKindThatIsNotKnownHereIsReturned) {
  join();
  JobOrder strange = order(1);
  strange.kind = static_cast<JobKind>(7);
  give({strange, order(2)});
  EXPECT_EQ(returned_, 1u);
  EXPECT_EQ(running_.size(), 1u);
}

TEST_F(SessionJobs, TheSameJobTwiceRunsOnce) {
  join();
  give({order(1), order(1)});
  give({order(1)});
  EXPECT_EQ(running_.size(), 1u);
  EXPECT_EQ(returned_, 0u);
}

TEST_F(SessionJobs, MoreThanCanBeQueuedIsReturnedInPages) {
  join();
  std::vector<JobOrder> many;
  for (std::uint64_t i = 1; i <= 20'000; ++i) many.push_back(order(i));
  give(std::move(many));
  EXPECT_EQ(session().attempts().queued() + running_.size(), 16u * 1024);
  EXPECT_EQ(returned_, 20'000u - 16 * 1024);
  EXPECT_EQ(returned_most_, 1000u);
  step(StopAsked{});
  EXPECT_EQ(returned_ + running_.size(), 20'000u);
  EXPECT_EQ(returned_most_, 1000u);
}

TEST_F(SessionJobs, PayloadsAreQueuedUpToABoundOfTheirBytes) {
  join();
  std::vector<JobOrder> large;
  for (std::uint64_t i = 1; i <= 50; ++i) {
    large.push_back(order(i));
    large.back().work = R"({"cmd":["true",")" + std::string(2'000'000, 'x') + "\"]}";
  }
  give(std::move(large));
  EXPECT_EQ(session().attempts().queued() + running_.size(), 33u);
  EXPECT_EQ(returned_, 17u);
}

// It gives the session up as soon as it is there, again and again: it is asked less and less often.
TEST_F(SessionJobs, ADispatcherThatEndsEverySessionIsAskedSeldom) {
  join();
  step(Drained{});
  const Time end = now_ + seconds(60);
  int sessions = 0;
  while (now_ < end) {
    if (session().active()) {
      ++sessions;
      deliver(End{});
    }
    step(Drained{});
    if (asked_) {
      answer(Answer::kWelcome);
    } else {
      now_ = std::max(*session().next_deadline(), now_);
    }
  }
  EXPECT_GT(sessions, 3);
  EXPECT_LT(sessions, 60);
}

TEST_F(SessionJobs, ASessionThatBroughtAJobIsFollowedByTheNextAtOnce) {
  join();
  for (std::uint64_t i = 1; i < 100; ++i) {
    give({order(i)});
    deliver(End{});
    step(Drained{});
    ASSERT_TRUE(asked_) << "after session " << i;
    answer(Answer::kWelcome);
  }
}

TEST_F(SessionJobs, AFreezeDoesNotUseUpTheGraceOfAStop) {
  join();
  give({order(1)});
  step(StopAsked{});
  step(Drained{});
  now_ += seconds(60);
  step(Drained{});
  EXPECT_TRUE(killed_.empty()) << "the job was frozen too";
  pass(seconds(30), Answer::kNobody);
  EXPECT_EQ(killed_.size(), 1u);
}

TEST_F(SessionJobs, AnAbsurdWorkerTimeoutDoesNotMakeItBeatAllTheTime) {
  start();
  Welcome welcome;
  welcome.run = kRun;
  welcome.session = {1};
  welcome.worker_timeout = microseconds(1);
  step(Welcomed{*asked_, welcome});
  step(Drained{});
  EXPECT_GE(*session().next_deadline(), now_ + milliseconds(10));
}

}  // namespace
}  // namespace workpool::worker
