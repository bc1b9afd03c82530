// SPDX-License-Identifier: MIT
#include "dispatcher/core/ready_queue.h"

#include <gtest/gtest.h>

#include <iterator>
#include <set>
#include <tuple>
#include <utility>
#include <vector>

namespace workpool::dispatcher {
namespace {

class ReadyQueueTest : public testing::Test {
 protected:
  std::uint32_t job(JobNumber number, std::int32_t priority) {
    const std::uint32_t row = jobs.add();
    jobs.at(row).facts.number = number;
    jobs.at(row).facts.priority = priority;
    return row;
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
  for (const std::uint32_t row : {first, second, third}) queue.push(jobs, row);
  queue.remove(jobs, first);
  queue.remove(jobs, third);
  EXPECT_EQ(queue.size(), 1u);
  EXPECT_EQ(queue.front(jobs)->row, second);
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
  EXPECT_EQ(queue.front(jobs)->rank.number, 9u);
  EXPECT_EQ(drained(), (std::vector<JobNumber>{9}));
}

TEST_F(ReadyQueueTest, AgreesWithASetOverManyChanges) {
  const auto rank = [this](std::uint32_t row) {
    return std::tuple(-std::int64_t{jobs.at(row).facts.priority}, jobs.at(row).facts.number, row);
  };
  std::set<std::tuple<std::int64_t, JobNumber, std::uint32_t>> expected;
  std::vector<std::uint32_t> out;  // open, and not in the queue
  std::uint64_t state = 1;
  const auto next = [&state](std::uint64_t below) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return (state >> 33) % below;
  };
  JobNumber number = 0;
  for (int i = 0; i < 20'000; ++i) {
    if (next(3) == 0 && !out.empty()) {  // comes back, out of order mostly
      const std::uint32_t row = out[next(out.size())];
      std::erase(out, row);
      queue.push(jobs, row);
      expected.insert(rank(row));
    } else if (next(3) == 0 && !out.empty()) {  // is done, and its row is used again
      jobs.remove(out.back());
      out.pop_back();
    } else if (next(2) == 0) {
      const std::uint32_t row = job(++number, static_cast<std::int32_t>(next(8)) / 7);
      queue.push(jobs, row);
      expected.insert(rank(row));
    } else if (!expected.empty()) {
      const auto it = next(4) == 0 ? std::prev(expected.end()) : expected.begin();
      const std::uint32_t row = std::get<2>(*it);
      if (it == expected.begin() && next(2) == 0) {
        ASSERT_EQ(queue.pop(jobs), row);
      } else {
        queue.remove(jobs, row);
      }
      expected.erase(it);
      out.push_back(row);
    }
    ASSERT_EQ(queue.size(), expected.size());
    ASSERT_EQ(queue.front(jobs).has_value(), !expected.empty());
    if (!expected.empty()) {
      ASSERT_EQ(queue.front(jobs)->row, std::get<2>(*expected.begin()));
    }
  }
}

}  // namespace
}  // namespace workpool::dispatcher
