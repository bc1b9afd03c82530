// SPDX-License-Identifier: MIT
// Writes numbers as digits, two at a time from a table: ids and result lines are full of them. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace workpool {

// All pairs of digits of a base, one after the other.
struct DigitPairs {
  char text[512] = {};
};
constexpr DigitPairs make_digit_pairs(unsigned base) {
  DigitPairs pairs;
  for (unsigned i = 0; i < base * base; ++i) {
    pairs.text[2 * i] = "0123456789abcdef"[i / base];
    pairs.text[2 * i + 1] = "0123456789abcdef"[i % base];
  }
  return pairs;
}
inline constexpr DigitPairs kHexPairs = make_digit_pairs(16);
inline constexpr DigitPairs kDecimalPairs = make_digit_pairs(10);

// Writes the low `kBytes` bytes of `value` to `to`, as 2 * kBytes lower-case hex digits.
template <std::size_t kBytes>
void write_hex(char* to, std::uint64_t value) {
  for (std::size_t i = kBytes; i-- > 0; value >>= 8)
    std::memcpy(to + 2 * i, kHexPairs.text + 2 * (value & 0xff), 2);
}

}  // namespace workpool
