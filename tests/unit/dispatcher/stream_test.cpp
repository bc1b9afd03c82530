// SPDX-License-Identifier: MIT
// What the scheduler makes of jobs that come one by one.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dispatcher/core/scheduler.h"

namespace workpool::dispatcher {
namespace {

class StreamTest : public testing::Test {
 protected:
  StreamTest() {
    options_.streaming = true;
    index_.seal();
    index_.open_queues(false);
  }

  void step(Event&& event) {
    if (!scheduler_) scheduler_.emplace(options_, index_, Time{});
    Actions actions;
    scheduler_->step(std::move(event), Time{}, actions);
  }
  Snapshot now() const { return scheduler_->snapshot(Time{}); }

  SchedulerOptions options_;
  JobIndex index_;
  std::optional<Scheduler> scheduler_;
};

TEST_F(StreamTest, JobsThatArriveAreOpenAndThoseDoneBeforeAreCounted) {
  JobArrived arrived;
  arrived.job.facts.id = "a";
  arrived.job.facts.key = key_of_id("a");
  arrived.job.work = "{}";
  step(std::move(arrived));
  step(AlreadyDone{1, 1, 0, 0});
  EXPECT_EQ(now().ok, 1u);
  EXPECT_EQ(now().failed, 1u);
  EXPECT_EQ(now().before, 2u);
  EXPECT_EQ(now().total, 3u);
  EXPECT_FALSE(now().total_known);
}

// At the end only what a later run will find is counted.
TEST_F(StreamTest, WhatIsNotDurableAtTheEndIsNotCounted) {
  step(AlreadyDone{1, 0, 0, 0});
  for (std::uint64_t line : {2, 3, 4}) {
    InvalidLine invalid;
    invalid.facts.line = line;
    step(std::move(invalid));
  }
  step(JournalState{1, false, false, 0});
  EXPECT_EQ(now().invalid, 3u);
  step(JournalState{1, false, false, 5});
  for (int signal = 0; signal < 3; ++signal) step(StopRequested{});
  EXPECT_EQ(now().ok, 1u);
  EXPECT_EQ(now().invalid, 1u);
  EXPECT_EQ(now().total, 4u);
}

}  // namespace
}  // namespace workpool::dispatcher
