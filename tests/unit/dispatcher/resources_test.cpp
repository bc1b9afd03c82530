// SPDX-License-Identifier: MIT
#include "dispatcher/core/resources.h"

#include <gtest/gtest.h>

namespace workpool::dispatcher {
namespace {

TEST(Resources, FitWhereOfNothingMoreIsNeeded) {
  EXPECT_TRUE(Resources{2}.fits(Resources{2}));
  EXPECT_TRUE(Resources{0}.fits(Resources{0}));
  EXPECT_FALSE(Resources{3}.fits(Resources{2}));
}

TEST(Resources, WhatIsTakenCanBeGivenBack) {
  Resources room{4};
  room.take({3});
  EXPECT_EQ(room, Resources{1});
  room.give({3});
  EXPECT_EQ(room, Resources{4});
}

// A worker may hold more jobs than it can run at once; nothing is free then, and not less than nothing.
TEST(Resources, NoMoreIsTakenThanIsThere) {
  EXPECT_TRUE(without(Resources{2}, Resources{9}).none());
  EXPECT_EQ(without(Resources{9}, Resources{2}), Resources{7});
}

}  // namespace
}  // namespace workpool::dispatcher
