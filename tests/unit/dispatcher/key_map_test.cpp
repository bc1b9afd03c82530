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

// The rows, as whoever has the map knows them.
class Rows {
 public:
  std::optional<std::uint32_t> find(const Key& key) const {
    return map_.find(key, [&](std::uint32_t row) { return keys_.at(row) == key; });
  }
  void insert(const Key& key, std::uint32_t row) {
    map_.insert(key, row);
    keys_[row] = key;
  }
  void erase(std::uint32_t row) {
    map_.erase(keys_.at(row), row);
    keys_.erase(row);
  }
  std::size_t size() const { return map_.size(); }

 private:
  KeyMap map_;
  std::map<std::uint32_t, Key> keys_;
};

TEST(KeyMap, FindsNothingInAnEmptyOne) {
  const Rows rows;
  EXPECT_FALSE(rows.find(key(1, 2)));
  EXPECT_EQ(rows.size(), 0u);
}

TEST(KeyMap, KeepsKeysThatFallOnOnePlaceApart) {
  Rows rows;
  // The place is made of the low bits, so these collide, around the end of the table too.
  for (std::uint32_t i = 0; i < 20; ++i) rows.insert(key(i, 63), i);
  for (std::uint32_t i = 0; i < 20; i += 2) rows.erase(i);
  for (std::uint32_t i = 0; i < 20; ++i) {
    const auto found = rows.find(key(i, 63));
    EXPECT_EQ(found.has_value(), i % 2 == 1);
    if (found) {
      EXPECT_EQ(*found, i);
    }
  }
  EXPECT_EQ(rows.size(), 10u);
}

// Keys that differ only in what the map does not keep.
TEST(KeyMap, AsksTheRowForTheWholeKey) {
  Rows rows;
  const std::uint64_t far = std::uint64_t{1} << 40;
  rows.insert(key(1, 5), 1);
  rows.insert(key(1, 5 + far), 2);
  rows.insert(key(2, 5), 3);
  EXPECT_EQ(rows.find(key(1, 5 + far)), 2u);
  EXPECT_EQ(rows.find(key(2, 5)), 3u);
  EXPECT_FALSE(rows.find(key(2, 5 + far)));
  rows.erase(1);
  EXPECT_FALSE(rows.find(key(1, 5)));
  EXPECT_EQ(rows.find(key(1, 5 + far)), 2u);
}

TEST(KeyMap, AgreesWithAMapOverManyChanges) {
  Rows rows;
  std::map<Key, std::uint32_t> expected;
  std::uint64_t state = 1;
  const auto next = [&state] { return state = state * 6364136223846793005 + 1442695040888963407; };
  for (int i = 0; i < 50'000; ++i) {
    const Key k = key_of_id(std::to_string(next() >> 33 & 1023));
    const auto known = expected.find(k);
    if (known != expected.end()) {
      EXPECT_EQ(rows.find(k), known->second);
      rows.erase(known->second);
      expected.erase(known);
    } else {
      EXPECT_FALSE(rows.find(k));
      rows.insert(k, static_cast<std::uint32_t>(i));
      expected[k] = static_cast<std::uint32_t>(i);
    }
    ASSERT_EQ(rows.size(), expected.size());
  }
}

}  // namespace
}  // namespace workpool::dispatcher
