// SPDX-License-Identifier: MIT
// What becomes of the lines of a stream: run, recorded as invalid, or skipped.
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

  // The records and skips that a line brings at once.
  std::vector<std::string> read(std::uint64_t line, const std::string& id, std::optional<Status> past = {}) {
    if (!scheduler_) scheduler_.emplace(options_, index_, Time{});
    LoadedJob job;
    job.facts.line = line;
    job.facts.number = line;
    job.facts.id = id;
    job.facts.key = key_of_id(id);
    job.facts.payload_bytes = 5;
    job.work = "{}";
    Actions actions;
    scheduler_->step(StreamJobRead{job, {}, past}, Time{}, actions);
    std::vector<std::string> found;
    for (const Action& action : actions) {
      if (const auto* record = std::get_if<Record>(&action))
        found.push_back(record->facts.id + " " + record->outcome.message);
      if (const auto* skip = std::get_if<Skip>(&action))
        found.push_back("skip " + std::to_string(skip->payload_bytes));
    }
    return found;
  }
  void step(Event&& event) {
    Actions actions;
    scheduler_->step(std::move(event), Time{}, actions);
  }
  Snapshot now() const { return scheduler_->snapshot(Time{}); }

  SchedulerOptions options_;
  JobIndex index_;
  std::optional<Scheduler> scheduler_;
};

using Happened = std::vector<std::string>;

TEST_F(StreamTest, AnIdThatIsOpenMakesTheLineInvalid) {
  EXPECT_EQ(read(1, "a"), Happened{});
  EXPECT_EQ(read(2, "a"),
            Happened{"L2 the id \"a\" belongs to a job that is still open: give each job an id of its own"});
  EXPECT_EQ(read(3, "b"), Happened{});
  EXPECT_EQ(now().invalid, 1u);
  EXPECT_EQ(now().total, 3u);
}

TEST_F(StreamTest, ALineWithoutAnIdMayHaveBeenCalledThatBefore) {
  EXPECT_EQ(read(1, "L2"), Happened{});
  EXPECT_EQ(read(2, "L2").size(), 1u);
}

TEST_F(StreamTest, WhatResultsHeldIsSkipped) {
  EXPECT_EQ(read(1, "a", Status::kOk), Happened{"skip 5"});
  EXPECT_EQ(read(2, "b", Status::kFailed), Happened{"skip 5"});
  EXPECT_EQ(now().ok, 1u);
  EXPECT_EQ(now().failed, 1u);
  EXPECT_EQ(now().before, 2u);
  // Not held open by having been skipped.
  EXPECT_EQ(read(3, "a"), Happened{});
}

TEST_F(StreamTest, WhatIsNotOkIsRunAgainWhereThatIsAskedFor) {
  options_.retry_failed = true;
  EXPECT_EQ(read(1, "a", Status::kOk), Happened{"skip 5"});
  EXPECT_EQ(read(2, "b", Status::kTimeout), Happened{});
  EXPECT_EQ(now().total, 2u);
}

// At the end only what a later run will find is counted.
TEST_F(StreamTest, WhatIsNotDurableAtTheEndIsNotCounted) {
  EXPECT_EQ(read(1, "a", Status::kOk), Happened{"skip 5"});
  for (std::uint64_t line : {2, 3, 4}) {
    InvalidLine invalid;
    invalid.facts.line = line;
    step(std::move(invalid));
  }
  step(WriterChanged{1, false, false, 0});
  EXPECT_EQ(now().invalid, 3u);
  step(WriterChanged{1, false, false, 5});
  for (int signal = 0; signal < 3; ++signal) step(StopRequested{});
  EXPECT_EQ(now().ok, 1u);
  EXPECT_EQ(now().invalid, 1u);
  EXPECT_EQ(now().total, 4u);
}

}  // namespace
}  // namespace workpool::dispatcher
