// SPDX-License-Identifier: MIT
#include "common/base/boxed.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace workpool {
namespace {

TEST(Boxed, IsCopiedAsAValue) {
  Boxed<std::string> first;
  EXPECT_FALSE(first);
  first.emplace() = "a";
  Boxed<std::string> second = first;
  EXPECT_TRUE(second == first);
  *second = "b";
  EXPECT_EQ(*first, "a") << "each has its own";
  EXPECT_FALSE(second == first);
  second = first;
  EXPECT_EQ(second->size(), 1U);
  second = Boxed<std::string>{};
  EXPECT_FALSE(second);
  EXPECT_FALSE(second == first);
  EXPECT_TRUE(second == Boxed<std::string>{});
}

TEST(Boxed, NothingIsLeftWhereItWasMovedFrom) {
  Boxed<std::string> first;
  first.emplace() = "a";
  const std::string* const value = &*first;
  const Boxed<std::string> second = std::move(first);
  EXPECT_EQ(&*second, value) << "not copied";
  EXPECT_FALSE(first);  // NOLINT: that is what is tested
}

}  // namespace
}  // namespace workpool
