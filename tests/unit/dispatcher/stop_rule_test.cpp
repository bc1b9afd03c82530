// SPDX-License-Identifier: MIT
// When a run stops by itself (--max-fails, --until-ok).
#include "dispatcher/core/stop_rule.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

TEST(StopRule, NothingStopsARunWithoutOne) {
  EXPECT_FALSE(stop_of({}, {1000, 1000, 1000}));
  EXPECT_TRUE(std::get<AllRecorded>(end_of_all({}, 3, true)).all_ok);
}

TEST(StopRule, ANumberOfJobsThatAreNotOk) {
  const StopRule rule{5, std::nullopt, std::nullopt};
  EXPECT_FALSE(stop_of(rule, {100, 104, 4}));
  const auto end = stop_of(rule, {100, 106, 6});
  ASSERT_TRUE(end);
  EXPECT_EQ(std::get<TooManyNotOk>(*end).not_ok, 6U);
  EXPECT_EQ(std::get<TooManyNotOk>(*end).limit, 5U);
  EXPECT_EQ(exit_code_of(*end), ExitCode::kNotAllOk);
}

TEST(StopRule, APartOfThoseThatHaveEndedFromTwentyOn) {
  const StopRule rule{std::nullopt, 10, std::nullopt};
  EXPECT_FALSE(stop_of(rule, {0, 19, 19})) << "a part of few says little";
  EXPECT_TRUE(stop_of(rule, {0, 20, 2}));
  EXPECT_FALSE(stop_of(rule, {1000, 21, 2})) << "less than 10 %";
  EXPECT_TRUE(stop_of({std::nullopt, 100, std::nullopt}, {0, 20, 20}));
}

TEST(StopRule, ANumberOfJobsThatAreOk) {
  const StopRule rule{1, std::nullopt, 3};
  EXPECT_TRUE(std::holds_alternative<EnoughOk>(*stop_of(rule, {3, 4, 1}))) << "comes before what is not ok";
  EXPECT_EQ(exit_code_of(*stop_of(rule, {3, 0, 0})), ExitCode::kOk) << "of an earlier start";
  EXPECT_EQ(exit_code_of(end_of_all(rule, 3, false)), ExitCode::kOk)
      << "how the others ended does not matter";
  EXPECT_EQ(exit_code_of(end_of_all(rule, 2, true)), ExitCode::kNotAllOk) << "three were asked for";
}

class StoppingTest : public CoreTest {
 protected:
  template <class Why>
  void expect_stops() {
    const auto stops = expect_report<RunStops>();
    ASSERT_TRUE(stops);
    EXPECT_TRUE(std::holds_alternative<Why>(stops->why));
    EXPECT_NE(snapshot().phase, "running");
  }
};

TEST_F(StoppingTest, ARunStopsLikeAtAFirstSignal) {
  options.stop.not_ok = 2;
  submit(6);
  start();
  worker("w1", 3);
  expect_given("w1", {0, 1, 2});
  ends("w1", 0, Status::kFailed);
  expect_recorded(0, Status::kFailed);
  expect_given("w1", {3});
  result("w1", 1, Status::kTimeout);
  drain();
  expect_recorded(1, Status::kTimeout);
  expect_stops<TooManyNotOk>();
  discard_decisions();  // RECALL, and what was given in the same step
  ends("w1", 2);
  expect_recorded(2, Status::kOk);
  take_given("w1");
  ends("w1", 3);
  expect_recorded(3, Status::kOk);
  if (snapshot().held > 0) ends("w1", 4);
  discard_decisions();
  advance(seconds(3));
  EXPECT_TRUE(std::holds_alternative<TooManyNotOk>(expect<Finish>()->end));
  discard_decisions();
}

TEST_F(StoppingTest, TheLastJobMayBeTheOneThatWasOneTooMany) {
  options.stop.not_ok = 1;
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  ends("w1", 0, Status::kFailed);
  expect_recorded(0, Status::kFailed);
  EXPECT_FALSE(std::get<AllRecorded>(expect<RunOver>()->end).all_ok) << "nothing is left to stop";
  discard_decisions();
}

TEST_F(StoppingTest, WhatWasNotOkBeforeDoesNotCountAndWhatWasOkDoes) {
  options.stop.not_ok = 2;
  options.stop.ok = 10;
  submit(4);
  start();
  AlreadyDone done;
  done.ok = 9;
  done.failed = 7;
  step(done);
  worker("w1", 1);
  expect_given("w1", {0});
  ends("w1", 0, Status::kFailed);
  expect_recorded(0, Status::kFailed);
  EXPECT_EQ(snapshot().phase, "running");
  expect_given("w1", {1});
  ends("w1", 1);
  expect_recorded(1, Status::kOk);
  expect_stops<EnoughOk>();
  discard_decisions();
}

}  // namespace
}  // namespace workpool::dispatcher
