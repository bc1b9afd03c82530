// SPDX-License-Identifier: MIT
// Which job an engine's death is counted against.
#include "dispatcher/core/blame.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

class BlameTest : public CoreTest {
 protected:
  const ActiveJob& job(JobNumber number) const {
    return ledger().jobs().at(*ledger().jobs().find_active(key_of_id("job" + std::to_string(number))));
  }
  // Its engine dies, with these jobs running; the next one is ready at once.
  void engine_dies(const std::string& name, const Numbers& ran) {
    new_engine(name);
    died(name, ran);
    expect_report<EngineDied>();
    say(name, Held{});
    say(name, Ready{});
    expect_joined(name);
    advance(seconds(2));
  }
};

TEST_F(BlameTest, NamesWhatRanAndNothingElse) {
  submit(2);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  new_engine("w1");
  died("w1", {1});
  EXPECT_EQ(expect_report<EngineDied>()->ran, std::vector<std::string>{"job1"});
  EXPECT_EQ(job(0).trouble().named, 0u);
  EXPECT_EQ(job(1).trouble().named, 1u);
}

TEST_F(BlameTest, ADeathThatIsToldTwiceCountsOnce) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  new_engine("w1");
  died("w1", {0});
  expect_report<EngineDied>();
  died("w1", {0});
  EXPECT_EQ(job(0).trouble().named, 1u);
}

// Else a worker that names a far one would have no death counted any more.
TEST_F(BlameTest, OnlyAnEarlierEngineCanHaveDied) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  new_engine("w1");
  say("w1", Died{{{2, "itself", {key_of_id("job0")}}, {0xffffffff, "a far one", {}}}});
  EXPECT_EQ(job(0).trouble().named, 0u);
  died("w1", {0});
  expect_report<EngineDied>();
  EXPECT_EQ(job(0).trouble().named, 1u);
}

TEST_F(BlameTest, AJobThatKillsItsEngineAloneAgainAndAgainIsQuarantined) {
  submit(1);
  start();
  worker("w1", 1);
  for (int death = 0; death < 3; ++death) {
    expect_given("w1", {0});
    engine_dies("w1", {0});
  }
  expect_recorded(0, Status::kQuarantined);
  expect_over();
}

TEST_F(BlameTest, AWorkerCannotNameWhatItNeverHad) {
  submit(3);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  worker("stranger", 1);
  expect_given("stranger", {1});
  for (int death = 0; death < 5; ++death) {
    new_engine("stranger");
    died("stranger", {0});
    EXPECT_TRUE(expect_report<EngineDied>()->ran.empty());
  }
  EXPECT_EQ(job(0).trouble().named, 0u);
  EXPECT_EQ(snapshot().quarantined, 0u);
}

TEST_F(BlameTest, AfterARestartOneDeathIsBelievedOfAWorkerFromBefore) {
  submit(2);
  start({"w1"});
  worker("w2", 2);
  expect_given("w2", {0, 1});
  falls_silent("w2");
  register_worker("w1", 1);
  new_engine("w1");
  died("w1", {0});  // has been another's since
  EXPECT_TRUE(expect_report<EngineDied>()->ran.empty());
}

TEST_F(BlameTest, WithoutAWordWhatMayHaveRunIsLostAndOnlyThat) {
  options.worker_timeout = seconds(2);
  submit(3);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  falls_silent("w1");
  advance(seconds(3));
  expect_lost("w1", SilentFor{seconds(2)});
  EXPECT_EQ(job(0).trouble().lost, 0u);
  advance(seconds(3));  // no DIED comes
  EXPECT_EQ(job(0).trouble().lost, 1u);
}

TEST_F(BlameTest, TheSameEngineComesBackAndNobodyDied) {
  options.worker_timeout = seconds(2);
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  falls_silent("w1");
  advance(seconds(3));
  expect_lost("w1", SilentFor{seconds(2)});
  register_worker("w1", 1);
  advance(seconds(1));
  held("w1", 0, 1);
  EXPECT_EQ(job(0).trouble().lost, 0u);
  EXPECT_EQ(ledger().holdings().live(), 1u);
}

}  // namespace
}  // namespace workpool::dispatcher
