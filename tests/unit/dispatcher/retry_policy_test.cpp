// SPDX-License-Identifier: MIT
#include "dispatcher/core/retry_policy.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace workpool::dispatcher {
namespace {

// The longest and the mean of many draws of one step of the ladder.
std::pair<Duration, Duration> drawn(std::uint32_t count) {
  constexpr int kDraws = 2000;
  Duration longest{0};
  Duration sum{0};
  for (int i = 0; i < kDraws; ++i) {
    const Duration delay = retry_delay(key_of_id(std::to_string(i)), count, count);
    EXPECT_GE(delay.count(), 0);
    longest = std::max(longest, delay);
    sum += delay;
  }
  return {longest, sum / kDraws};
}

TEST(RetryPolicy, DoublesFromASecondToAMinuteWithFullJitter) {
  const Duration ceilings[] = {seconds(1),  seconds(2),  seconds(4),  seconds(8),
                               seconds(16), seconds(32), seconds(60), seconds(60)};
  std::uint32_t count = 0;
  for (const Duration ceiling : ceilings) {
    const auto [longest, mean] = drawn(++count);
    EXPECT_LE(longest, ceiling);
    EXPECT_GT(longest, ceiling * 9 / 10);
    EXPECT_GT(mean, ceiling * 4 / 10);
    EXPECT_LT(mean, ceiling * 6 / 10);
  }
  EXPECT_LE(drawn(4'000'000'000u).first, seconds(60));
}

TEST(RetryPolicy, DrawsTheSameForTheSameAttempt) {
  const Key key = key_of_id("a");
  EXPECT_EQ(retry_delay(key, 3, 2), retry_delay(key, 3, 2));
  EXPECT_NE(retry_delay(key, 3, 2), retry_delay(key, 4, 2));
}

TEST(RetryPolicy, DoesNotDelayTheFirstLoss) {
  const Key key = key_of_id("a");
  EXPECT_EQ(loss_delay(key, 1, 0), Duration{0});
  EXPECT_EQ(loss_delay(key, 1, 1), Duration{0});
  EXPECT_EQ(loss_delay(key, 2, 2), retry_delay(key, 2, 1));
  EXPECT_EQ(retry_delay(key, 1, 0), Duration{0});
}

}  // namespace
}  // namespace workpool::dispatcher
