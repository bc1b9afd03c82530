// SPDX-License-Identifier: MIT
// How many jobs a worker may hold ahead of need, and which job goes to which worker.
#include "dispatcher/core/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/dispatcher/placement_fixture.h"

namespace workpool::dispatcher {
namespace {

constexpr std::uint64_t kPlenty = 100'000;  // of the run is left

TEST(Window, IsTheSlotsWhileNoRunTimeIsKnown) {
  EXPECT_EQ(window_size(4, Duration{0}, std::nullopt, kPlenty), 4u);
}

TEST(Window, PrefetchesNoJobOfSeconds) {
  EXPECT_EQ(window_size(4, milliseconds(200), seconds(5), kPlenty), 4u);
}

TEST(Window, CoversTwoRoundTripsOfShortJobs) {
  // 20 ms + 2 x 5 ms of work for each slot, beside what runs.
  EXPECT_EQ(window_size(4, milliseconds(5), milliseconds(3), kPlenty), 4u + 4u * 10u);
}

TEST(Window, IsBounded) { EXPECT_EQ(window_size(4, milliseconds(5), microseconds(1), kPlenty), 1024u); }

TEST(Window, IsAtMostTheShareOfWhatIsLeft) {
  EXPECT_EQ(window_size(4, milliseconds(5), microseconds(1), 10), 10u);
  EXPECT_EQ(window_size(4, milliseconds(5), microseconds(1), 1), 4u);
}

TEST(Window, IsNeverBelowTheSlots) {
  EXPECT_EQ(window_size(2000, milliseconds(5), microseconds(1), kPlenty), 2000u);
}

const Requirement kWide{"", {}, 2};

TEST_F(PlacementTest, FillsTheWorkersInTurn) {
  worker("a", 2);
  worker("b", 2);
  for (const char* id : {"1", "2", "3", "4", "5"}) job(id);
  EXPECT_EQ(drain(), (Given{"1 a", "3 a", "2 b", "4 b"}));
}

TEST_F(PlacementTest, AJobThatNobodyCanRunHoldsUpNoOther) {
  worker("a", 1);
  job("1", {"", {"nowhere"}, 1}, 5);
  job("2");
  EXPECT_EQ(drain(), (Given{"2 a"}));
}

TEST_F(PlacementTest, AWideJobKeepsTheSlotsThatAreFreed) {
  worker("a", 2);
  for (const char* id : {"1", "2"}) job(id);
  EXPECT_EQ(drain().size(), 2u);
  job("wide", kWide);
  for (const char* id : {"3", "4", "5"}) job(id);
  done("1");
  EXPECT_EQ(drain(), Given{});
  done("2");
  EXPECT_EQ(drain(), Given{"wide a"});
  done("wide");
  EXPECT_EQ(drain(), (Given{"3 a", "4 a"}));
}

TEST_F(PlacementTest, WhatAReservationLeavesOverIsUsed) {
  worker("a", 3);
  for (const char* id : {"1", "2", "3"}) job(id);
  drain();
  job("wide", kWide);
  for (const char* id : {"4", "5"}) job(id);
  done("1");
  EXPECT_EQ(drain(), Given{}) << "with this slot the wide one is to start";
  done("2");
  EXPECT_EQ(drain(), (Given{"wide a"}));
  done("3");
  EXPECT_EQ(drain(), Given{"4 a"});
}

TEST_F(PlacementTest, WorseJobsGoElsewhereMeanwhile) {
  worker("a", 2);
  worker("b", 2);
  for (const char* id : {"1", "2", "3", "4"}) job(id);
  EXPECT_EQ(drain(), (Given{"1 a", "3 a", "2 b", "4 b"}));
  job("wide", kWide);
  for (const char* id : {"5", "6", "7"}) job(id);
  EXPECT_EQ(drain(), Given{});
  done("2");
  EXPECT_EQ(drain(), Given{"5 b"}) << "a is reserved";
  done("1");
  EXPECT_EQ(drain(), Given{});
  done("3");
  EXPECT_EQ(drain(), Given{"wide a"});
}

TEST_F(PlacementTest, TheWorkerThatIsFreeSoonestIsReserved) {
  worker("a", 2);
  job("long1");
  job("long2");
  drain();
  now += seconds(100);  // who has run for so long may go on as long again
  worker("b", 2);
  job("1");
  job("2");
  EXPECT_EQ(drain(), (Given{"1 b", "2 b"}));
  now += seconds(1);
  job("wide", kWide);
  job("3");
  job("4");
  drain();
  done("long1");
  EXPECT_EQ(drain(), Given{"3 a"}) << "b is reserved";
  done("1");
  done("2");
  EXPECT_EQ(drain(), Given{"wide b"});
}

TEST_F(PlacementTest, ABetterJobTakesWhatIsKeptForAWorseOne) {
  worker("a", 2);
  for (const char* id : {"1", "2"}) job(id);
  drain();
  job("wide", kWide);
  drain();
  done("1");
  EXPECT_EQ(drain(), Given{});
  job("urgent", {}, 1);
  EXPECT_EQ(drain(), Given{"urgent a"});
  done("urgent");
  done("2");
  EXPECT_EQ(drain(), Given{"wide a"});
}

TEST_F(PlacementTest, AWideJobGoesWhereItFitsFirst) {
  worker("a", 2);
  for (const char* id : {"1", "2"}) job(id);
  drain();
  job("wide", kWide);
  job("3");
  drain();
  worker("b", 2);
  EXPECT_EQ(drain(), Given{"wide b"});
  done("1");
  EXPECT_EQ(drain(), Given{"3 a"}) << "nothing is kept at a any more";
}

TEST_F(PlacementTest, ALostWorkerLosesItsReservation) {
  worker("a", 2);
  worker("b", 2);
  for (const char* id : {"1", "2", "3", "4"}) job(id);
  drain();
  job("wide", kWide);
  drain();
  step(LaneGone{SessionId{1}});
  drain();
  job("5");
  done("2");
  EXPECT_EQ(drain(), Given{}) << "b is reserved now";
  done("4");
  EXPECT_EQ(drain(), Given{"wide b"});
}

TEST_F(PlacementTest, WideAndNarrowJobsGetTheirTurn) {
  worker("a", 2);
  worker("b", 3);
  constexpr std::size_t kJobs = 90;
  for (std::size_t i = 0; i < kJobs; ++i)
    job(std::to_string(i), {"", {}, 1 + static_cast<std::uint32_t>(i % 3)});
  std::vector<std::string> begun;  // in this order
  for (std::size_t ended = 0; ended < kJobs; ++ended) {
    for (const std::string& line : drain()) begun.push_back(line.substr(0, line.find(' ')));
    ASSERT_LT(ended, begun.size()) << "somebody runs something as long as there is work";
    now += seconds(1);
    done(begun[ended]);
  }
  std::size_t latest = 0;
  for (std::size_t place = 0; place < kJobs; ++place)
    latest = std::max(latest, place - std::min(place, std::size_t{std::stoul(begun[place])}));
  RecordProperty("places_late", static_cast<int>(latest));
  EXPECT_LE(latest, 4u * 5);
}

// ---- workers that take everything ----

TEST_F(PlacementTest, AWorkerOfAMillionSlotsLeavesWorkToOthers) {
  worker("giant", 1 << 20);
  worker("a", 2);
  for (int i = 0; i < 5000; ++i) job(std::to_string(i));
  std::map<std::string, std::vector<std::string>> held;
  const auto take = [&] {
    for (const std::string& one : drain()) {
      const std::size_t space = one.find(' ');
      held[one.substr(space + 1)].push_back(one.substr(0, space));
    }
  };
  take();
  EXPECT_EQ(held["giant"].size(), 1024u);
  ASSERT_EQ(held["a"].size(), 2u);
  // It does nothing; the other one always has something to do.
  for (int i = 0; i < 2000; ++i) {
    now += seconds(1);
    const std::string id = held["a"].front();
    held["a"].erase(held["a"].begin());
    done(id);
    take();
    ASSERT_GE(held["a"].size(), 2u) << i;
  }
  EXPECT_EQ(held["giant"].size(), 1024u);
  // What it finishes speaks for it.
  for (int i = 0; i < 500; ++i) done(held["giant"][static_cast<std::size_t>(i)]);
  take();
  EXPECT_EQ(held["giant"].size() - 500, 1024u + 500u);
}

TEST_F(PlacementTest, AnHonestWorkerOfManySlotsIsFullAfterSomeBeats) {
  options.worker_timeout = seconds(10);
  scheduler.emplace(options, index, now);
  worker("big", 3000);
  for (int i = 0; i < 3500; ++i) job(std::to_string(i));
  std::size_t held = drain().size();
  EXPECT_EQ(held, 1024u);
  for (const std::size_t then : {2048u, 3000u, 3000u}) {
    now += seconds(1);
    drain();
    const std::uint64_t stamp = last_stamp();
    ASSERT_NE(stamp, 0u);
    now += milliseconds(5);
    from("big", Beat{stamp, Duration{0}, {}});
    held += drain().size();
    EXPECT_EQ(held, then);
  }
}

TEST_F(PlacementTest, TheClaimOfOneWorkerDoesNotShrinkTheShareOfOthers) {
  ran = microseconds(10);
  worker("giant", 1 << 20);
  worker("a", 2);
  for (int i = 0; i < 8000; ++i) job(std::to_string(i));
  const auto given_to_a = [this] {
    const Given all = drain();
    return std::count_if(all.begin(), all.end(), [](const std::string& one) { return one.ends_with(" a"); });
  };
  EXPECT_EQ(given_to_a(), 2);
  for (const auto& [id, order] : std::map(orders)) {
    if (order.second == "a") done(id);
  }
  EXPECT_GE(given_to_a(), 5) << "jobs of microseconds travel ahead of need";
}

TEST_F(PlacementTest, WorkersThatFitNoneOfTheJobsDoNotShrinkTheShareOfOthers) {
  ran = microseconds(100);  // so that a message of them is ten
  for (int i = 0; i < 20; ++i) worker("idle" + std::to_string(i), 2);
  worker("a", 2, {"label"});
  for (int i = 0; i < 400; ++i) job(std::to_string(i), {"", {"label"}});
  EXPECT_EQ(drain().size(), 2u);
  for (const auto& [id, order] : std::map(orders)) done(id);
  EXPECT_GE(drain().size(), 150u) << "it is the only one for them: half of what is left is its share";
}

TEST_F(PlacementTest, AnAttemptOfAnyWidthGoesToAWorkerThatSaysItIsAsWide) {
  worker("giant", 1 << 20);
  job("wide", {"", {}, 1 << 20});
  EXPECT_EQ(drain(), Given{"wide giant"});
}

TEST_F(PlacementTest, BytesOnTheirWayToAWorkerAreBounded) {
  options.worker_timeout = seconds(10);
  scheduler.emplace(options, index, now);
  work = std::string(1 << 20, 'w');
  worker("a", 500);
  for (int i = 0; i < 200; ++i) job(std::to_string(i));
  EXPECT_EQ(drain().size(), 64u);
  now += seconds(1);
  EXPECT_TRUE(drain().empty());
  const std::uint64_t stamp = last_stamp();
  ASSERT_NE(stamp, 0u);
  now += milliseconds(5);
  from("a", Beat{stamp - 1, Duration{0}, {}});
  EXPECT_TRUE(drain().empty()) << "of an earlier one";
  from("a", Beat{stamp, Duration{0}, {}});
  EXPECT_EQ(drain().size(), 64u);
}

TEST_F(PlacementTest, BytesThatAreDoneAreOnTheirWayNoMore) {
  options.worker_timeout = seconds(10);
  scheduler.emplace(options, index, now);
  work = std::string(1 << 20, 'w');
  worker("a", 2);
  for (int i = 0; i < 200; ++i) job(std::to_string(i));
  std::size_t given = 0;
  for (Given next = drain(); !next.empty(); next = drain()) {
    given += next.size();
    for (const std::string& one : next) done(one.substr(0, one.find(' ')));
  }
  EXPECT_EQ(given, 200u) << "without any echo: while jobs flow no LANE BEAT is due";
}

TEST_F(PlacementTest, ClassesOfAStreamEndWithTheirLastJob) {
  std::vector<std::string> labels;
  for (int i = 0; i < 10; ++i) labels.push_back("l" + std::to_string(i));
  worker("a", 1, labels);
  worker("b", 1);
  for (std::uint32_t i = 0; i < 1024; ++i) {
    std::vector<std::string> some;
    for (std::uint32_t bit = 0; bit < 10; ++bit) {
      if ((i >> bit & 1) != 0) some.push_back(labels[bit]);
    }
    const std::string id = std::to_string(i);
    job(id, {"", some, 1});
    ASSERT_EQ(drain(), Given{id + " a"}) << "a number that was used before fits whom its class fits now";
    done(id);
  }
  drain();
  EXPECT_LE(scheduler->ledger().jobs().classes().size(), 4u);
}

}  // namespace
}  // namespace workpool::dispatcher
