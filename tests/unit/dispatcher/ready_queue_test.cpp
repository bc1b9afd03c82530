// SPDX-License-Identifier: MIT
#include "dispatcher/core/ready_queue.h"

#include <gtest/gtest.h>

#include <vector>

namespace workpool::dispatcher {
namespace {

class ReadyQueueTest : public testing::Test {
 protected:
  std::uint32_t job(JobNumber number, std::int32_t priority) {
    const std::uint32_t slot = jobs.add();
    jobs.at(slot).facts.number = number;
    jobs.at(slot).facts.priority = priority;
    return slot;
  }
  std::vector<JobNumber> drained() {
    std::vector<JobNumber> numbers;
    while (!queue.empty()) numbers.push_back(jobs.at(queue.pop(jobs)).facts.number);
    return numbers;
  }

  JobTable jobs;
  ReadyQueue queue;
};

TEST_F(ReadyQueueTest, HandsOutByPriorityThenNumber) {
  for (const auto& [number, priority] :
       std::vector<std::pair<JobNumber, std::int32_t>>{{3, 0}, {1, 0}, {7, 5}, {2, -1}, {6, 5}}) {
    queue.push(jobs, job(number, priority));
  }
  EXPECT_EQ(queue.size(), 5u);
  EXPECT_EQ(drained(), (std::vector<JobNumber>{6, 7, 1, 3, 2}));
}

TEST_F(ReadyQueueTest, TakesOneOutFromAnywhere) {
  const std::uint32_t first = job(1, 0);
  const std::uint32_t second = job(2, 0);
  const std::uint32_t third = job(3, 0);
  for (const std::uint32_t slot : {first, second, third}) queue.push(jobs, slot);
  queue.remove(jobs, first);
  queue.remove(jobs, third);
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.front(jobs), second);
  queue.push(jobs, first);
  EXPECT_EQ(drained(), (std::vector<JobNumber>{1, 2}));
  EXPECT_FALSE(queue.front(jobs));
}

TEST_F(ReadyQueueTest, ForgetsAnEntryWhoseSlotIsUsedAgain) {
  const std::uint32_t old = job(1, 0);
  queue.push(jobs, old);
  queue.remove(jobs, old);
  jobs.remove(old);
  const std::uint32_t fresh = job(9, 0);
  ASSERT_EQ(fresh, old);
  queue.push(jobs, fresh);
  EXPECT_EQ(queue.front_rank(jobs)->number, 9u);
  EXPECT_EQ(drained(), (std::vector<JobNumber>{9}));
}

}  // namespace
}  // namespace workpool::dispatcher
