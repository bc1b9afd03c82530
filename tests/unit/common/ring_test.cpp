// SPDX-License-Identifier: MIT
#include "common/base/ring.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

namespace workpool {
namespace {

TEST(Ring, AgreesWithADequeOverManyChanges) {
  Ring<std::string> ring;
  std::deque<std::string> expected;
  std::uint64_t state = 1;
  const auto next = [&state](std::uint64_t below) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return (state >> 33) % below;
  };
  for (int i = 0; i < 20'000; ++i) {
    // More in than out for a while, then the other way round: it grows, wraps and empties.
    const bool filling = i / 500 % 2 == 0;
    if (expected.empty() || next(10) < (filling ? 7u : 3u)) {
      ring.push_back("item " + std::to_string(i));
      expected.push_back("item " + std::to_string(i));
    } else if (next(4) == 0) {
      const std::size_t at = next(expected.size());
      ring.erase(at);
      expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(at));
    } else {
      ring.pop_front();
      expected.pop_front();
    }
    ASSERT_EQ(ring.size(), expected.size());
    if (expected.empty()) continue;
    ASSERT_EQ(ring.front(), expected.front());
    ASSERT_EQ(ring.back(), expected.back());
    const std::size_t at = next(expected.size());
    ASSERT_EQ(ring[at], expected[at]);
  }
}

TEST(Ring, HoldsNothingOfWhatWasTakenOut) {
  Ring<std::shared_ptr<int>> ring;
  const auto watched = std::make_shared<int>(1);
  for (int i = 0; i < 3; ++i) ring.emplace_back() = watched;
  EXPECT_EQ(watched.use_count(), 4);
  ring.pop_front();
  EXPECT_EQ(watched.use_count(), 3);
  ring.erase(0);
  EXPECT_EQ(watched.use_count(), 2);
  ring.clear();
  EXPECT_EQ(watched.use_count(), 1);
  EXPECT_TRUE(ring.empty());
  EXPECT_EQ(ring.emplace_back(), nullptr) << "a new one has its default";
}

}  // namespace
}  // namespace workpool
