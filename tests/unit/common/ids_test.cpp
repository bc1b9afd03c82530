// SPDX-License-Identifier: MIT
#include "common/base/ids.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace workpool {
namespace {

// From xxhash's own `xxhsum -H2`: keys and specs are in files and on the wire, so the digest can never
// change.
TEST(Ids, DigestsAreXxh3InCanonicalOrder) {
  EXPECT_EQ(hex(hash128("", 0)), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hex(key_of_id("abc")), "06b05ab6733a618578af5f94892f3950");
  EXPECT_EQ(hex(spec_of_work("abc")), hex(key_of_id("abc")));
  EXPECT_NE(key_of_id("abc"), key_of_id(std::string("abc\0", 4)));
}

TEST(Ids, DefaultIdsCountFromTheSecondOn) {
  const Spec spec{{0x1, 0xab}};
  EXPECT_EQ(default_id(spec, 1), "000000000000000100000000000000ab");
  EXPECT_EQ(default_id(spec, 2), "000000000000000100000000000000ab#2");
  EXPECT_EQ(default_id(spec, ~0ull), "000000000000000100000000000000ab#18446744073709551615");
}

TEST(Ids, HexIsExactAndLowerCase) {
  EXPECT_EQ(hex64(0), "0000000000000000");
  EXPECT_EQ(hex64(0xfedcba9876543210), "fedcba9876543210");
  std::uint64_t value = 0;
  for (const char* text : {"", "fedcba987654321", "fedcba98765432100", "fedcba987654321g", "FEDCBA9876543210",
                           " edcba9876543210", "0xdcba9876543210", "-edcba9876543210"}) {
    EXPECT_FALSE(parse_hex64(text, value)) << text;
  }
}

RC_GTEST_PROP(IdsProperty, HexComesBack, (std::uint64_t high, std::uint64_t low)) {
  std::uint64_t value = 0;
  RC_ASSERT(parse_hex64(hex64(low), value));
  RC_ASSERT(value == low);
  RC_ASSERT(hex(Hash128{high, low}) == hex64(high) + hex64(low));
}

TEST(Ids, OrderIsThatOfTheDigits) {
  EXPECT_LT((Key{{1, ~0ull}}), (Key{{2, 0}}));
  EXPECT_LT((Key{{1, 1}}), (Key{{1, 2}}));
}

}  // namespace
}  // namespace workpool
