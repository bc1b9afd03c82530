// SPDX-License-Identifier: MIT
#include "dispatcher/core/class_heads.h"

#include <gtest/gtest.h>

#include <map>

namespace workpool::dispatcher {
namespace {

TEST(ClassHeads, AgreeWithAnOrderedMapOverManyChanges) {
  ClassHeads heads;
  std::map<std::pair<std::int64_t, JobNumber>, std::uint32_t> expected;  // by priority and number
  std::map<std::uint32_t, std::pair<std::int64_t, JobNumber>> keys;
  std::uint64_t state = 1;
  const auto next = [&state](std::uint64_t below) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return (state >> 33) % below;
  };
  for (int i = 0; i < 20'000; ++i) {
    const auto number = static_cast<std::uint32_t>(next(100));
    if (keys.contains(number)) expected.erase(keys[number]);
    keys.erase(number);
    if (next(3) == 0) {
      heads.erase(number);
    } else {
      const QueueRank rank{static_cast<std::int32_t>(next(5)), next(1'000'000) * 100 + number};
      heads.set(number, rank);
      keys[number] = {-std::int64_t{rank.priority}, rank.number};
      expected[keys[number]] = number;
    }
    ASSERT_EQ(heads.size(), expected.size());
    ASSERT_EQ(heads.has(number), keys.contains(number));
    if (!expected.empty()) {
      ASSERT_EQ(heads.best().number, expected.begin()->second);
    }
    ASSERT_EQ(heads.second().has_value(), expected.size() > 1);
    if (expected.size() > 1) {
      ASSERT_EQ(heads.second()->number, std::next(expected.begin())->first.second);
    }
  }
}

}  // namespace
}  // namespace workpool::dispatcher
