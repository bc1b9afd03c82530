// SPDX-License-Identifier: MIT
#include "worker/core/handler_talk.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace workpool::worker {
namespace {

class HandlerTalkTest : public ::testing::Test {
 protected:
  using Heard = HandlerTalk::Heard;
  using Where = HandlerTalk::Where;

  // Of a child that has started.
  HandlerTalkTest() {
    talk_.begin();
    talk_.note_read(1, now_);
  }

  void ask(std::uint64_t token, Duration timeout = Duration(0)) {
    StartAttempt attempt;
    attempt.token = token;
    attempt.order.id = "job-" + std::to_string(token);
    attempt.order.key.low = token;
    attempt.order.timeout = timeout;
    talk_.ask(std::move(attempt), written_, now_);
    written_ += 10;
  }
  Heard hear(std::string_view line = R"({"value":1})") {
    return talk_.hear(line, written_, endings_, fault_);
  }
  void over() { talk_.lines_over(now_, endings_); }
  // As many jobs as it has room for, each of which takes `each`.
  std::size_t round(Duration each) {
    const std::size_t count = talk_.room();
    for (std::size_t i = 0; i < count; ++i) ask(++last_);
    now_ += each * static_cast<Duration::rep>(count);
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(hear(), Heard::kAnswer);
    over();
    return count;
  }

  HandlerTalk talk_{0};
  Time now_{seconds(1000)};
  std::vector<AttemptEnded> endings_;
  std::string fault_;
  std::uint64_t last_ = 100;
  std::uint64_t written_ = 0;  // bytes: each request has 10
};

TEST_F(HandlerTalkTest, AnswersGoToRequestsInOrder) {
  ask(1);
  ask(2);
  EXPECT_EQ(talk_.first().attempt.token, 1U);
  EXPECT_EQ(hear(R"({"value":[1]})"), Heard::kAnswer);
  EXPECT_EQ(hear(R"({"error":"no"})"), Heard::kAnswer);
  over();
  ASSERT_EQ(endings_.size(), 2U);
  EXPECT_EQ(endings_[0].token, 1U);
  EXPECT_EQ(endings_[0].outcome.value, "[1]");
  EXPECT_EQ(endings_[1].token, 2U);
  EXPECT_EQ(endings_[1].outcome.status, Status::kFailed);
  EXPECT_EQ(endings_[1].outcome.kind, ErrorKind::kHandler);
  EXPECT_EQ(endings_[1].outcome.message, "no");
  EXPECT_TRUE(talk_.is_idle());
  EXPECT_EQ(hear(), Heard::kSurplus);
}

TEST_F(HandlerTalkTest, ProgressAndFaultsLeaveTheRequest) {
  ask(1);
  EXPECT_EQ(hear(R"({"progress":0.5,"text":"so far"})"), Heard::kProgress);
  EXPECT_EQ(talk_.take_progress(), (Progress{500, "so far"}));
  EXPECT_EQ(hear("nonsense"), Heard::kFault);
  EXPECT_NE(fault_, "");
  EXPECT_EQ(hear(R"({"value":1,"id":"job-2"})"), Heard::kFault);
  EXPECT_NE(fault_.find("job-2"), std::string::npos);
  EXPECT_TRUE(endings_.empty());
  EXPECT_EQ(talk_.first().attempt.token, 1U);
  EXPECT_EQ(hear(R"({"value":1,"id":"job-1"})"), Heard::kAnswer);
}

TEST_F(HandlerTalkTest, AnIdMayBeWrittenInAnotherWay) {
  StartAttempt attempt;
  attempt.order.id = "\xc3\xa9/1";
  talk_.ask(std::move(attempt), written_, now_);
  written_ += 10;
  EXPECT_EQ(hear(R"({"value":1,"id":"\u00e8/1"})"), Heard::kFault);
  EXPECT_EQ(hear(R"({"value":1,"id":"\u00e9\/1"})"), Heard::kAnswer);
}

TEST_F(HandlerTalkTest, WhatTheChildHasNotReadItCannotAnswer) {
  ask(1);
  EXPECT_EQ(talk_.hear(R"({"value":1})", 0, endings_, fault_), Heard::kSurplus);
  EXPECT_FALSE(talk_.is_between_jobs(0));  // it has never answered, and would say the same again
  const std::uint64_t first = written_;
  EXPECT_EQ(hear(), Heard::kAnswer);
  over();
  ask(2);
  EXPECT_EQ(talk_.hear(R"({"value":1})", first, endings_, fault_), Heard::kSurplus);
  EXPECT_TRUE(talk_.is_between_jobs(first));
  EXPECT_FALSE(talk_.is_between_jobs(first + 1));
  EXPECT_EQ(talk_.first().attempt.token, 2U);
}

TEST_F(HandlerTalkTest, OneAnswerTooManyMakesAllThatCameWithItDoubtful) {
  ask(1);
  ask(2);
  hear();
  over();  // this one is out
  hear();
  EXPECT_EQ(hear(), Heard::kSurplus);
  talk_.distrust_answers(endings_, "one too many");
  over();
  EXPECT_EQ(endings_[0].outcome.status, Status::kOk);
  EXPECT_EQ(endings_[1].outcome.status, Status::kFailed);
  EXPECT_EQ(endings_[1].outcome.message, "one too many");
}

TEST_F(HandlerTalkTest, TimeIsSharedByAnswersThatCameTogether) {
  ask(1);
  ask(2);
  ask(3);
  now_ += milliseconds(6);
  hear();
  hear();
  over();
  EXPECT_EQ(endings_[0].ran, milliseconds(3));
  EXPECT_EQ(endings_[1].ran, milliseconds(3));
  now_ += milliseconds(5);
  hear();
  over();
  EXPECT_EQ(endings_[2].ran, milliseconds(5));
}

TEST_F(HandlerTalkTest, OnlyTheFirstHasATimeout) {
  EXPECT_EQ(talk_.due(), kNever);
  ask(1, seconds(2));
  ask(2, seconds(1));
  EXPECT_EQ(talk_.due(), now_ + seconds(2));
  now_ += milliseconds(500);
  hear();
  over();
  EXPECT_EQ(talk_.due(), now_ + seconds(1));
  talk_.move_timers(seconds(9));
  EXPECT_EQ(talk_.due(), now_ + seconds(10));
}

TEST_F(HandlerTalkTest, ATimeoutCountsFromTheEndOfTheStart) {
  talk_.begin();
  EXPECT_EQ(talk_.look_at(), kNever);
  ask(1, seconds(2));
  const Time asked = now_;
  for (int looks = 0; now_ < asked + seconds(14); ++looks) {
    ASSERT_LT(looks, 1000);
    ASSERT_GT(talk_.look_at(), now_);
    ASSERT_GT(talk_.due(), talk_.look_at());
    now_ = talk_.look_at();
    talk_.note_read(0, now_);
  }
  EXPECT_TRUE(talk_.is_starting());
  const Time looked = now_;
  now_ += milliseconds(15);
  talk_.note_read(3, now_);
  EXPECT_FALSE(talk_.is_starting());
  EXPECT_EQ(talk_.look_at(), kNever);
  EXPECT_EQ(talk_.due(), now_ + seconds(2));
  now_ += milliseconds(5);
  EXPECT_EQ(hear(), Heard::kAnswer);
  over();
  EXPECT_EQ(endings_[0].ran, now_ - looked);
  EXPECT_EQ(endings_[0].waited, looked - asked);
  ask(2, seconds(1));
  EXPECT_EQ(talk_.due(), now_ + seconds(1));
  hear();
  EXPECT_EQ(endings_[1].waited, Duration(0));
}

TEST_F(HandlerTalkTest, AStartHasItsOwnLimit) {
  talk_.begin();
  ask(1);
  EXPECT_EQ(talk_.due(), now_ + kHandlerStartMost);
  talk_.take_first();
  now_ += seconds(1);
  ask(2, seconds(2));
  EXPECT_EQ(talk_.due(), now_ + kHandlerStartMost);
  talk_.take_first();
  ask(3, 2 * kHandlerStartMost);
  EXPECT_EQ(talk_.due(), now_ + 2 * kHandlerStartMost);
  talk_.move_timers(seconds(9));
  EXPECT_EQ(talk_.due(), now_ + 2 * kHandlerStartMost + seconds(9));
}

TEST_F(HandlerTalkTest, ShortJobsAreWrittenAhead) {
  EXPECT_EQ(talk_.room(), 1U);
  EXPECT_EQ(round(seconds(3)), 1U);  // of a child that takes long to start
  EXPECT_EQ(round(microseconds(10)), 1U);
  EXPECT_EQ(round(microseconds(10)), 2U);
  EXPECT_EQ(round(microseconds(10)), 4U);
  for (int i = 0; i < 10; ++i) round(microseconds(10));
  EXPECT_EQ(talk_.room(), 64U);
  for (int i = 0; i < 50; ++i) round(microseconds(250));
  EXPECT_LE(talk_.room(), 4U);
}

TEST_F(HandlerTalkTest, WhatWasNotReadIsTakenBack) {
  for (int i = 0; i < 10; ++i) round(microseconds(10));
  const std::uint64_t begin = written_;
  EXPECT_EQ(talk_.impatient_at(), kNever);
  for (std::uint64_t token = 1; token <= 4; ++token) ask(token);
  EXPECT_EQ(talk_.impatient_at(), now_ + milliseconds(50));
  const auto tokens = [](const auto& unread) {
    std::vector<std::uint64_t> found;
    for (const auto& asked : unread) found.push_back(asked.attempt.token);
    return found;
  };
  // The child has the first one, and the beginning of the second.
  EXPECT_EQ(tokens(talk_.take_unread(begin + 11, true)), (std::vector<std::uint64_t>{3, 4}));
  EXPECT_EQ(talk_.asked(), 2U);
  EXPECT_EQ(talk_.impatient_at(), kNever);  // the second one cannot be had
  EXPECT_EQ(talk_.room(), 0U);
  EXPECT_EQ(talk_.find(2), Where::kBehind);
  EXPECT_EQ(talk_.find(3), Where::kNowhere);
  // Of another child, which has read nothing.
  hear();
  hear();
  over();
  const std::uint64_t later = written_;
  ask(5);
  ask(6);
  EXPECT_EQ(tokens(talk_.take_unread(later, false)), std::vector<std::uint64_t>{6});
  EXPECT_EQ(tokens(talk_.take_unread(later, true)), std::vector<std::uint64_t>{5});
  EXPECT_TRUE(talk_.is_idle());
}

TEST_F(HandlerTalkTest, WhatIsBehindIsTakenBackWhateverTheLastJobTook) {
  for (int i = 0; i < 10; ++i) round(microseconds(10));
  for (std::uint64_t token = 1; token <= 3; ++token) ask(token);
  now_ += milliseconds(5);  // now only one is to be written at a time
  hear();
  over();
  ASSERT_EQ(talk_.asked(), 2U);
  EXPECT_EQ(talk_.room(), 0U);
  EXPECT_EQ(talk_.impatient_at(), now_ + milliseconds(50));
  EXPECT_EQ(talk_.take_unread(written_ - 10, false).size(), 1U);
  EXPECT_EQ(talk_.impatient_at(), kNever);
}

TEST_F(HandlerTalkTest, ALongJobEndsThatAtOnce) {
  for (int i = 0; i < 10; ++i) round(microseconds(10));
  EXPECT_GT(talk_.room(), 30U);
  ask(1);
  now_ += seconds(1);
  hear();
  over();
  EXPECT_EQ(talk_.room(), 1U);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(round(seconds(1)), 1U);
}

TEST_F(HandlerTalkTest, WhoWritesToStderrIsAskedOneByOne) {
  for (int i = 0; i < 10; ++i) round(microseconds(10));
  talk_.note_stderr();
  for (int i = 0; i < 256; ++i) ASSERT_EQ(round(microseconds(10)), 1U) << i;
  EXPECT_GT(talk_.room(), 1U);
}

TEST_F(HandlerTalkTest, AChildHasOnlySoManyJobs) {
  HandlerTalk talk(3);
  talk.begin();
  for (std::uint64_t i = 1; i <= 3; ++i) {
    EXPECT_FALSE(talk.is_spent());
    ASSERT_EQ(talk.room(), 1U);
    StartAttempt attempt;
    attempt.token = i;
    talk.ask(std::move(attempt), 0, now_);
    talk.hear(R"({"value":1})", 1, endings_, fault_);
    talk.lines_over(now_, endings_);
  }
  EXPECT_TRUE(talk.is_spent());
  EXPECT_EQ(talk.room(), 0U);
  talk.begin();
  EXPECT_EQ(talk.room(), 1U);
}

TEST_F(HandlerTalkTest, KillOfOneBehindWaitsForItsTurn) {
  ask(1);
  ask(2);
  EXPECT_EQ(talk_.kill(7), Where::kNowhere);
  EXPECT_EQ(talk_.kill(2), Where::kBehind);
  EXPECT_FALSE(talk_.first().killed);
  hear();
  over();
  EXPECT_TRUE(talk_.first().killed);
  hear();
  EXPECT_EQ(endings_[1].how, AttemptEnd::kStopped);
  EXPECT_EQ(endings_[1].outcome.value, "");
  ask(3);
  EXPECT_EQ(talk_.kill(3), Where::kFirst);
}

TEST_F(HandlerTalkTest, WhatIsLeftComesInOrder) {
  ask(1);
  ask(2);
  EXPECT_EQ(talk_.take_first()->attempt.token, 1U);
  EXPECT_EQ(talk_.take_first()->attempt.token, 2U);
  EXPECT_FALSE(talk_.take_first());
}

TEST(HandlerEnd, Words) {
  EXPECT_EQ(handler_end_text(3, 0), "the handler's program exited with status 3");
  EXPECT_EQ(handler_end_text(0, 9), "the handler's program was ended by signal 9 (SIGKILL)");
}

TEST(HandlerDeathsTest, ThreeJobsInARow) {
  HandlerDeaths deaths;
  const auto key = [](std::uint64_t low) {
    Key made;
    made.low = low;
    return made;
  };
  EXPECT_FALSE(deaths.died(key(1)));
  EXPECT_FALSE(deaths.died(key(2)));
  deaths.answered();
  EXPECT_FALSE(deaths.died(key(3)));
  EXPECT_FALSE(deaths.died(key(3)));  // again
  EXPECT_FALSE(deaths.died(key(3)));
  EXPECT_FALSE(deaths.died(key(4)));
  EXPECT_FALSE(deaths.died(key(3)));  // two jobs in turn
  EXPECT_TRUE(deaths.died(key(5)));
  EXPECT_FALSE(deaths.died(key(6)));  // said once
  deaths.answered();
  EXPECT_FALSE(deaths.died(key(7)));
}

}  // namespace
}  // namespace workpool::worker
