// SPDX-License-Identifier: MIT
#include "common/base/key_index.h"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

namespace workpool {
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
    std::optional<std::uint32_t> found;
    map_.any(key, [&](std::uint32_t row) {
      if (keys_.at(row) == key) found = row;
      return found.has_value();
    });
    return found;
  }
  void insert(const Key& key, std::uint32_t row) {
    map_.add(key, row);
    keys_[row] = key;
  }
  void erase(std::uint32_t row) {
    map_.remove(keys_.at(row), row);
    keys_.erase(row);
  }
  std::size_t size() const { return map_.size(); }

 private:
  KeyIndex map_;
  std::map<std::uint32_t, Key> keys_;
};

TEST(KeyIndex, FindsNothingInAnEmptyOne) {
  const Rows rows;
  EXPECT_FALSE(rows.find(key(1, 2)));
  EXPECT_EQ(rows.size(), 0u);
}

TEST(KeyIndex, KeepsKeysThatFallOnOnePlaceApart) {
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
TEST(KeyIndex, AsksTheRowForTheWholeKey) {
  Rows rows;
  const std::uint64_t far = (std::uint64_t{256} << 32) + 256;  // both halves differ in the same bit
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

TEST(KeyIndex, AgreesWithAMapOverManyChanges) {
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
}  // namespace workpool
