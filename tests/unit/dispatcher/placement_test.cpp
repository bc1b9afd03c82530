// SPDX-License-Identifier: MIT
// How many jobs a worker may hold ahead of need.
#include "dispatcher/core/placement.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace workpool::dispatcher
