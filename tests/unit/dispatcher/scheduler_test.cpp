// SPDX-License-Identifier: MIT
// The whole core: what its numbers say, and that the same events give the same decisions.
#include "dispatcher/core/scheduler.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

using SchedulerTest = CoreTest;

TEST_F(SchedulerTest, JobsGoOutInTheirOrderAndOverTheWorkersInTurn) {
  submit(4);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  worker("w2", 2);
  expect_given("w2", {2, 3});
  ends("w2", 3);
  expect_recorded(3, Status::kOk);
  const Snapshot now = snapshot();
  EXPECT_EQ(now.total, 4u);
  EXPECT_EQ(now.ok, 1u);
  EXPECT_EQ(now.held, 3u);
  EXPECT_EQ(now.running, 3u);
  EXPECT_EQ(now.slots, 4u);
}

TEST_F(SchedulerTest, WhatRunsIsNeverMoreThanTheSlotsThatAreShown) {
  submit(4);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  worker("w2", 1);
  expect_given("w2", {2});
  EXPECT_EQ(snapshot().running, 3u);
  // Its connection is gone: it is not counted among the workers until it is back.
  step(LaneGone{SessionId{1}});
  EXPECT_EQ(snapshot().slots, 1u);
  EXPECT_EQ(snapshot().running, 1u);
  EXPECT_EQ(snapshot().held, 3u);
  register_worker("w1", 2);
  expect<CloseSession>();
  held("w1", 0, 1);
  held("w1", 1, 1);
  EXPECT_EQ(snapshot().running, 1u);
  say("w1", Ready{});
  expect_joined("w1");
  EXPECT_EQ(snapshot().slots, 3u);
  EXPECT_EQ(snapshot().running, 3u);
}

TEST_F(SchedulerTest, ABlockedJournalStopsTheGiving) {
  submit(2);
  start({"w1"});
  JournalState journal;
  journal.blocked = true;
  step(std::move(journal));
  worker("w1", 2);
  expect_nothing();
  step(JournalState{});
  drain();
  expect_given("w1", {0, 1});
}

TEST_F(SchedulerTest, ThePauseOfTheDispatcherCostsNoWorkerItsSession) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  sleep_without_a_look(seconds(60));
  expect_nothing();
  falls_silent("w1");
  advance(seconds(11));
  expect_lost("w1", SilentFor{seconds(10)});
}

}  // namespace
}  // namespace workpool::dispatcher
