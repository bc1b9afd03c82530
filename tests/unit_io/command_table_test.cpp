// SPDX-License-Identifier: MIT
#include "worker/io/runner/command_table.h"

#include <gtest/gtest.h>

namespace workpool::worker {
namespace {

StartAttempt attempt(std::uint64_t token) {
  StartAttempt made;
  made.token = token;
  return made;
}

class CommandTableTest : public ::testing::Test {
 protected:
  CommandTableTest() { table_.set_spawners(2); }
  // The spawner that gets it; -1 if it waits.
  int enter(std::uint64_t token) {
    const auto placed = table_.enter(attempt(token));
    return placed ? static_cast<int>(placed->spawner) : -1;
  }
  // The one that gets the slot; 0 if none waits.
  std::uint64_t leave(std::uint64_t token) {
    const auto next = table_.leave(token);
    return next ? next->token : 0;
  }
  CommandTable::Where find(std::uint64_t token, bool take_out = false) {
    return table_.find(token, take_out, spawner_);
  }

  CommandTable table_{3};
  std::uint32_t spawner_ = 9;
};

TEST_F(CommandTableTest, GivesEachToTheSpawnerWithTheLeastToDo) {
  EXPECT_EQ(enter(1), 0);
  EXPECT_EQ(enter(2), 1);
  EXPECT_EQ(enter(3), 0);
  EXPECT_EQ(leave(1), 0U);
  EXPECT_EQ(leave(3), 0U);
  EXPECT_EQ(enter(4), 0);
}

TEST_F(CommandTableTest, TheSlotOfOneThatEndsGoesToTheNextAtTheSameSpawner) {
  for (std::uint64_t token = 1; token <= 3; ++token) enter(token);
  EXPECT_EQ(enter(4), -1);
  EXPECT_EQ(enter(5), -1);
  EXPECT_EQ(leave(2), 4U);
  EXPECT_EQ(find(4), CommandTable::Where::kAtSpawner);
  EXPECT_EQ(spawner_, 1U);
  EXPECT_EQ(find(2), CommandTable::Where::kNowhere);
  EXPECT_EQ(leave(4), 5U);
  EXPECT_EQ(leave(5), 0U);
}

TEST_F(CommandTableTest, OneThatWaitsCanBeTakenOut) {
  for (std::uint64_t token = 1; token <= 5; ++token) enter(token);
  EXPECT_EQ(find(4), CommandTable::Where::kWaits);
  EXPECT_EQ(find(4, true), CommandTable::Where::kWaits);
  EXPECT_EQ(find(4), CommandTable::Where::kNowhere);
  EXPECT_EQ(leave(1), 5U);
}

TEST_F(CommandTableTest, KnowsTheOldestThatRuns) {
  EXPECT_TRUE(table_.none_runs());
  EXPECT_EQ(table_.oldest_start(), kNever);
  enter(1);
  enter(2);
  EXPECT_EQ(table_.oldest_start(), kNever) << "none has been started";
  table_.starts(2, Time{seconds(5)});
  table_.starts(1, Time{seconds(7)});
  EXPECT_EQ(table_.oldest_start(), Time{seconds(5)});
  leave(2);
  EXPECT_EQ(table_.oldest_start(), Time{seconds(7)});
  leave(1);
  EXPECT_TRUE(table_.none_runs());
}

}  // namespace
}  // namespace workpool::worker
