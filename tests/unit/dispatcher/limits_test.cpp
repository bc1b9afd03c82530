// SPDX-License-Identifier: MIT
// Limits by key: what may start now, what waits, and how placement goes round both.
#include "dispatcher/core/limits.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/dispatcher/placement_fixture.h"

namespace workpool::dispatcher {
namespace {

const LimitRule kTwo{2, 0, Duration{0}};
const LimitRule kTwoASecond{0, 2, seconds(1)};

Requirement with(const std::vector<Limit>& limits, std::uint32_t slots = 1) {
  return {"", {}, slots, limits};
}

// ---- the gates by themselves ----

class LimitsTest : public testing::Test {
 protected:
  LimitsTest() { limits.advance(now); }
  void pass(Duration time) { limits.advance(now += time); }
  Time now{seconds(100)};
  Limits limits;
};

TEST_F(LimitsTest, AClassWithoutAnyIsOpen) {
  EXPECT_TRUE(limits.open(3));
  EXPECT_FALSE(limits.limits(3));
}

TEST_F(LimitsTest, ANumberCountsWhatIsHeldOverAllClassesOfTheKey) {
  limits.meet(0, {{"a", kTwo}});
  limits.meet(1, {{"a", kTwo}, {"b", kTwo}});
  limits.give(0);
  limits.adopt(1);
  EXPECT_FALSE(limits.open(0));
  EXPECT_FALSE(limits.open(1));
  limits.started(0, now);
  limits.release(0);
  EXPECT_TRUE(limits.open(1));
}

TEST_F(LimitsTest, AStartCountsUntilItsTimeAfterItWasKnownIsOver) {
  limits.meet(0, {{"a", kTwoASecond}});
  limits.give(0);
  limits.give(0);
  pass(seconds(50));
  EXPECT_FALSE(limits.open(0)) << "they are under way";
  limits.started(0, now - milliseconds(300));
  pass(milliseconds(799));
  EXPECT_FALSE(limits.open(0)) << "it may have needed a moment";
  pass(milliseconds(1));
  EXPECT_TRUE(limits.open(0));
}

TEST_F(LimitsTest, WhatHasEndedNeedsNoMoment) {
  limits.meet(0, {{"a", kTwoASecond}});
  limits.give(0);
  limits.give(0);
  limits.started(0, now - milliseconds(5));
  pass(milliseconds(999));
  EXPECT_FALSE(limits.open(0));
  pass(milliseconds(1));
  EXPECT_TRUE(limits.open(0));
}

TEST_F(LimitsTest, WhatNeverStartedGivesItsStartBack) {
  limits.meet(0, {{"a", kTwoASecond}});
  limits.give(0);
  limits.give(0);
  limits.unstarted(0);
  limits.release(0);
  EXPECT_TRUE(limits.open(0));
}

TEST_F(LimitsTest, ARateOutlivesTheLastClassOfItsKey) {
  limits.meet(0, {{"a", kTwoASecond}});
  limits.give(0);
  limits.give(0);
  for (int i = 0; i < 2; ++i) {
    limits.started(0, now);
    limits.release(0);
  }
  limits.forget(0);
  limits.meet(5, {{"a", kTwoASecond}});
  EXPECT_FALSE(limits.open(5));
  pass(seconds(1));
  EXPECT_TRUE(limits.open(5));
}

TEST_F(LimitsTest, TheBestOfThoseThatWaitComesFirst) {
  for (const std::uint32_t number : {0, 1, 2}) limits.meet(number, {{"a", kTwo}});
  limits.give(0);
  limits.give(0);
  EXPECT_FALSE(limits.admit(1, {0, 9}));
  EXPECT_FALSE(limits.admit(2, {0, 7}));
  EXPECT_EQ(limits.waiting(), 2U);
  EXPECT_TRUE(limits.take_opened().empty());
  limits.started(0, now);
  limits.release(0);
  const auto opened = limits.take_opened();
  ASSERT_EQ(opened.size(), 1U);
  EXPECT_EQ(limits.next_at(opened[0]), 2U);
  EXPECT_EQ(limits.next_at(opened[0]), 1U) << "nobody has taken its place";
  EXPECT_EQ(limits.next_at(opened[0]), std::nullopt);
  EXPECT_EQ(limits.waiting(), 0U);
}

TEST_F(LimitsTest, AfterARestartNumbersAreClosedAndRatesUsedUp) {
  limits.meet(0, {{"a", kTwo}});
  limits.meet(1, {{"b", kTwoASecond}});
  limits.use_up_all();
  limits.hold_all();
  EXPECT_FALSE(limits.open(0));
  EXPECT_FALSE(limits.open(1));
  limits.meet(2, {{"c", kTwoASecond}});
  EXPECT_FALSE(limits.open(2)) << "a key that comes later";
  EXPECT_FALSE(limits.admit(0, {0, 1}));
  pass(seconds(1));
  EXPECT_TRUE(limits.open(1));
  EXPECT_TRUE(limits.open(2));
  EXPECT_FALSE(limits.open(0));
  limits.release_all();
  EXPECT_EQ(limits.take_opened().size(), 1U);
  EXPECT_TRUE(limits.open(0));
}

TEST_F(LimitsTest, ViewsSayWhatWaitsWhere) {
  limits.meet(0, {{"a", kTwo}});
  limits.give(0);
  limits.give(0);
  limits.admit(0, {0, 1});
  const auto views = limits.views();
  ASSERT_EQ(views.size(), 1U);
  EXPECT_EQ(views[0].key, "a");
  EXPECT_EQ(views[0].held, 2U);
  EXPECT_EQ(views[0].classes, (std::vector<std::uint32_t>{0}));
}

// ---- in placement ----

class LimitedPlacement : public PlacementTest {
 protected:
  std::vector<HeldUp> held_up() { return scheduler->held_up(); }
};

TEST_F(LimitedPlacement, NeverMoreThanItsNumberAndOthersGoRound) {
  worker("w", 4);
  for (const char* id : {"1", "2", "3"}) job(id, with({{"a", kTwo}}));
  job("4");
  EXPECT_EQ(drain(), (Given{"1 w", "2 w", "4 w"}));
  ASSERT_EQ(held_up().size(), 1U);
  EXPECT_EQ(held_up()[0].jobs, 1U);
  done("4");
  EXPECT_EQ(drain(), Given{}) << "a slot is free, but not the limit";
  done("1");
  EXPECT_EQ(drain(), (Given{"3 w"}));
}

TEST_F(LimitedPlacement, TheSameOverAllWorkers) {
  worker("v", 2);
  worker("w", 2);
  for (const char* id : {"1", "2", "3"}) job(id, with({{"a", kTwo}}));
  EXPECT_EQ(drain().size(), 2U);
}

TEST_F(LimitedPlacement, AJobWithSeveralNeedsThemAll) {
  worker("w", 8);
  job("1", with({{"a", {1, 0, Duration{0}}}}));
  job("2", with({{"a", {1, 0, Duration{0}}}, {"b", {1, 0, Duration{0}}}}));
  job("3", with({{"b", {1, 0, Duration{0}}}}));
  EXPECT_EQ(drain(), (Given{"1 w", "3 w"}));
  done("1");
  EXPECT_EQ(drain(), Given{});
  done("3");
  EXPECT_EQ(drain(), (Given{"2 w"}));
}

TEST_F(LimitedPlacement, TheBetterJobOfAKeyGoesFirst) {
  worker("w", 4);
  job("1", with({{"a", {1, 0, Duration{0}}}}));
  EXPECT_EQ(drain(), (Given{"1 w"}));
  job("2", with({{"a", {1, 0, Duration{0}}}}));
  job("3", with({{"a", {1, 0, Duration{0}}}, {"b", kTwo}}), 5);
  EXPECT_EQ(drain(), Given{});
  done("1");
  EXPECT_EQ(drain(), (Given{"3 w"}));
}

// Whoever is let in first and cannot start must not keep the others of its key out.
TEST_F(LimitedPlacement, AJobThatNobodyCanRunKeepsNobodyOut) {
  worker("w", 4);
  worker("b", 4, {"big"});
  job("1", with({{"a", {1, 0, Duration{0}}}}));
  Requirement big = with({{"a", {1, 0, Duration{0}}}}, 4);
  big.labels = {"big"};
  job("fill", {"", {"big"}, 1});
  EXPECT_EQ(drain().size(), 2U);
  job("2", big, 9);
  job("3", with({{"a", {1, 0, Duration{0}}}}));
  EXPECT_EQ(drain(), Given{});
  done("1");
  EXPECT_EQ(drain(), (Given{"3 w"})) << "the wide one waits for its slots, not for the limit";
}

TEST_F(LimitedPlacement, StartsNoFasterThanTheRate) {
  ran = milliseconds(1);
  worker("w", 8);
  for (const char* id : {"1", "2", "3", "4", "5"}) job(id, with({{"", kTwoASecond}}));
  now += milliseconds(1);
  EXPECT_EQ(drain(), (Given{"1 w", "2 w"}));
  now += milliseconds(1);
  done("1");
  done("2");
  EXPECT_EQ(drain(), Given{});
  now += milliseconds(999);
  EXPECT_EQ(drain(), Given{});
  now += milliseconds(1);
  ASSERT_TRUE(scheduler->next_deadline() && *scheduler->next_deadline() <= now) << "the loop would sleep on";
  EXPECT_EQ(drain(), (Given{"3 w", "4 w"}));
}

TEST_F(LimitedPlacement, AStartThatMayHaveComeLateCountsFromThen) {
  worker("w", 8);
  ran = milliseconds(40);
  for (int i = 0; i < 64; ++i) {
    job("o" + std::to_string(i), with({{"other", {8, 0, Duration{0}}}}));
    ASSERT_EQ(drain().size(), 1U);
    now += ran;
    done("o" + std::to_string(i));
  }
  for (const char* id : {"1", "2", "3"}) job(id, with({{"", kTwoASecond}}));
  EXPECT_EQ(drain(), (Given{"1 w", "2 w"}));
  ran = milliseconds(150);  // as if it had waited for 110 ms of them
  now += ran;
  done("1");
  done("2");
  now += milliseconds(999);
  EXPECT_EQ(drain(), Given{});
  now += milliseconds(1);
  EXPECT_EQ(drain(), (Given{"3 w"}));
}

TEST_F(LimitedPlacement, ALostWorkerGivesBackWhatItHeld) {
  options.worker_timeout = seconds(10'000);
  worker("w", 2);
  for (const char* id : {"1", "2", "3"}) job(id, with({{"a", kTwo}}));
  EXPECT_EQ(drain().size(), 2U);
  worker("v", 4);
  EXPECT_EQ(drain(), Given{});
  from("w", Goodbye{});
  now += seconds(2);
  EXPECT_EQ(drain().size(), 2U);
}

TEST_F(LimitedPlacement, ManyClassesBehindAGateCostNoMoreThanFew) {
  ran = milliseconds(1);
  worker("w", 1);
  for (int i = 0; i < 1000; ++i)
    job("j" + std::to_string(i),
        with({{"a", {1, 0, Duration{0}}}, {"h" + std::to_string(i), {1, 0, Duration{0}}}}));
  EXPECT_EQ(drain(), (Given{"j0 w"}));
  const auto before = looked();
  for (int i = 0; i < 100; ++i) {
    now += milliseconds(2);
    done("j" + std::to_string(i));
    EXPECT_EQ(drain(), (Given{"j" + std::to_string(i + 1) + " w"}));
  }
  EXPECT_LE(looked().classes - before.classes, 400U);
}

}  // namespace
}  // namespace workpool::dispatcher
