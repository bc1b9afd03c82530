// SPDX-License-Identifier: MIT
#include "dispatcher/core/key_map.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace workpool::dispatcher {
namespace {

Key key(std::uint64_t high, std::uint64_t low) {
  Key made;
  made.high = high;
  made.low = low;
  return made;
}

TEST(KeyMap, FindsNothingInAnEmptyOne) {
  KeyMap map;
  EXPECT_FALSE(map.find(key(1, 2)));
  map.erase(key(1, 2));
  EXPECT_EQ(map.size(), 0u);
}

TEST(KeyMap, KeepsKeysThatFallOnOnePlaceApart) {
  KeyMap map;
  // The place is made of the low bits, so these collide, around the end of the table too.
  for (std::uint32_t i = 0; i < 20; ++i) map.insert(key(i, 63), i);
  for (std::uint32_t i = 0; i < 20; i += 2) map.erase(key(i, 63));
  for (std::uint32_t i = 0; i < 20; ++i) {
    const auto found = map.find(key(i, 63));
    EXPECT_EQ(found.has_value(), i % 2 == 1);
    if (found) {
      EXPECT_EQ(*found, i);
    }
  }
  EXPECT_EQ(map.size(), 10u);
}

TEST(KeyMap, AgreesWithAMapOverManyChanges) {
  KeyMap map;
  std::map<Key, std::uint32_t> expected;
  std::uint64_t state = 1;
  const auto next = [&state] { return state = state * 6364136223846793005 + 1442695040888963407; };
  for (int i = 0; i < 50'000; ++i) {
    const Key k = key_of_id(std::to_string(next() >> 33 & 1023));
    if (expected.contains(k)) {
      EXPECT_FALSE(map.insert(k, 1'000'000));
      EXPECT_EQ(map.find(k), expected[k]);
      map.erase(k);
      expected.erase(k);
    } else {
      EXPECT_FALSE(map.find(k));
      EXPECT_TRUE(map.insert(k, static_cast<std::uint32_t>(i)));
      expected[k] = static_cast<std::uint32_t>(i);
    }
    ASSERT_EQ(map.size(), expected.size());
  }
}

}  // namespace
}  // namespace workpool::dispatcher
