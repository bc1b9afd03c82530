// SPDX-License-Identifier: MIT
// Which job goes where when a worker speaks, is silent or comes back, and which result counts.
#include "dispatcher/core/ledger.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

class LedgerTest : public CoreTest {
 protected:
  // Job 0 is held by w1; its session is then lost, and the job given to w2.
  void lose_to_another() {
    start();
    worker("w1", 1);
    expect_given("w1", {0});
    falls_silent("w1");
    advance(seconds(11));
    expect_lost("w1", SilentFor{seconds(10)});
    worker("w2", 1);
    expect_given("w2", {0});
    advance(seconds(1));
  }
  void come_back(const std::string& name) { register_worker(name, 1); }
};

TEST_F(LedgerTest, TheFirstResultIsRecordedAndASecondOneIsADuplicate) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  disk_held = true;
  result("w1", 0, Status::kOk);
  expect_recorded(0, Status::kOk);
  result("w1", 0, Status::kOk);
  EXPECT_EQ(ledger().counts().duplicates, 1u);
  EXPECT_EQ(records(), 1u);
  EXPECT_EQ(ledger().holdings().live(), 0u);
}

TEST_F(LedgerTest, AFailureIsGivenAgainAfterAPauseUntilItsRetriesAreUsedUp) {
  submit(1, {.retries = 1});
  submit(1, {.slots = 2});  // nobody has these: the run goes on
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  ends("w1", 0, Status::kFailed);
  EXPECT_EQ(expect_report<JobRetried>()->attempt, 1u);
  EXPECT_EQ(snapshot().delayed, 1u);
  advance(seconds(2));
  expect_given("w1", {0});
  EXPECT_EQ(attempt(0), 2u);
  ends("w1", 0, Status::kFailed);
  expect_recorded(0, Status::kFailed);
}

TEST_F(LedgerTest, WhatComesBackUnstartedKeepsItsAttempt) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  say("w1", Ready{false});
  returns("w1", 0);
  worker("w2", 1);
  expect_given("w2", {0});
  EXPECT_EQ(attempt(0), 1u);
}

TEST_F(LedgerTest, AnOkCountsFromASessionThatWasGivenUpToo) {
  submit(1);
  lose_to_another();
  come_back("w1");
  result("w1", 0, Status::kOk, false);
  expect_cancelled("w2", {0});
  expect_recorded(0, Status::kOk);
}

TEST_F(LedgerTest, AFailureOfAnAttemptThatWasGivenUpDoesNotEndWhatRunsElsewhere) {
  submit(1);
  lose_to_another();
  come_back("w1");
  result("w1", 0, Status::kFailed, false);
  EXPECT_EQ(ledger().counts().duplicates, 1u);
  EXPECT_EQ(snapshot().held, 1u);
}

// ---- HELD ----

TEST_F(LedgerTest, OfTwoThatHoldAJobTheOneThatHasRunLongerKeepsIt) {
  submit(1);
  lose_to_another();
  come_back("w1");
  held("w1", 0, 1, seconds(11));
  expect_cancelled("w2", {0});
  say("w1", Ready{});
  expect_joined("w1");
}

TEST_F(LedgerTest, OnlyTheLastAttemptIsGivenAgainUnderItsNumber) {
  submit(1);
  lose_to_another();
  come_back("w1");
  held("w1", 0, 1, seconds(11));
  expect_cancelled("w2", {0});
  say("w1", Ready{});
  expect_joined("w1");
  // It had not begun there after all. The second attempt may have begun at w2.
  returns_held("w1", 0, 1);
  drain();
  expect_given("w2", {0});
  EXPECT_EQ(attempt(0), 3u);
}

TEST_F(LedgerTest, NobodyHasRunAJobForLongerThanItHasHadIt) {
  submit(1);
  lose_to_another();
  come_back("w1");
  held("w1", 0, 1, seconds(12));
  expect_cancelled("w2", {0});
  // w2 has had it for a second only, whatever it says.
  register_worker("w2", 1);
  expect<CloseSession>();
  held("w2", 0, 2, std::chrono::hours(1000));
  expect_cancelled("w2", {0});
}

TEST_F(LedgerTest, AWorkerCannotHoldWhatItWasNeverGiven) {
  submit(3);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  register_worker("stranger", 1);
  held("stranger", 0, 1, seconds(1000));  // another's
  expect_cancelled("stranger", {0});
  held("stranger", 2, 1, seconds(1000));  // nobody's
  expect_cancelled("stranger", {2});
  EXPECT_EQ(ledger().holdings().live(), 1u);
}

TEST_F(LedgerTest, NothingIsTakenOverAfterReady) {
  submit(1);
  lose_to_another();
  come_back("w1");
  say("w1", Held{});
  say("w1", Ready{});
  expect_joined("w1");
  held("w1", 0, 1, seconds(1000));
  EXPECT_EQ(ledger().holdings().live(), 1u);
}

TEST_F(LedgerTest, AfterARestartAWorkerFromBeforeHoldsWhatItSays) {
  submit(2);
  start({"w1"});
  register_worker("w1", 2);
  held("w1", 1, 4, seconds(1000));
  drain();
  say("w1", Ready{});
  expect_joined("w1");
  drain();
  expect_given("w1", {0});
  EXPECT_EQ(ledger().holdings().live(), 2u);
}

TEST_F(LedgerTest, WhatHeldDoesNotNameIsGivenToOthers) {
  submit(2);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  register_worker("w1", 2);
  expect<CloseSession>();
  held("w1", 1, 1);
  say("w1", Ready{false});
  expect_joined("w1");
  worker("w2", 2);
  expect_given("w2", {0});
}

// ---- failures that are handed over ----

TEST_F(LedgerTest, AFailureOfAJobThatNobodyHoldsCountsFromTheWorkerThatHadIt) {
  submit(2);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  falls_silent("w1");
  advance(seconds(11));
  expect_lost("w1", SilentFor{seconds(10)});
  come_back("w1");
  say("w1", Held{});
  result("w1", 0, Status::kFailed, false);
  expect_recorded(0, Status::kFailed);
}

TEST_F(LedgerTest, AFailureOfAJobThatNobodyHoldsDoesNotCountFromAnotherWorker) {
  submit(3);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  falls_silent("w1");
  advance(seconds(11));
  expect_lost("w1", SilentFor{seconds(10)});
  register_worker("stranger", 1);
  say("stranger", Held{});
  result("stranger", 0, Status::kFailed, false);
  result("stranger", 2, Status::kFailed, false);  // of the backlog
  drain();
  EXPECT_EQ(records(), 0u);
}

TEST_F(LedgerTest, AfterARestartAFailureOfNobodysJobCountsFromAWorkerFromBefore) {
  submit(2);
  start({"w1"});
  register_worker("w1", 1);
  say("w1", Held{});
  result("w1", 1, Status::kFailed, false);
  drain();
  expect_recorded(1, Status::kFailed);
  say("w1", Ready{});
  expect_joined("w1");
  drain();
  expect_given("w1", {0});
}

}  // namespace
}  // namespace workpool::dispatcher
