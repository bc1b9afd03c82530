// SPDX-License-Identifier: MIT
// Looks at many bytes at once: most text is long runs of letters in which nothing is to be found. It uses
// the vectors of GCC and Clang, which become the instructions of whatever processor it is built for.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace workpool {

using SixteenBytes = unsigned char __attribute__((vector_size(16)));

// Each byte 0xff or 0x00: the form of what a comparison of two vectors returns.
template <class Comparison>
SixteenBytes as_bytes(const Comparison& comparison) {
  return reinterpret_cast<SixteenBytes>(comparison);
}

// Whether one of the `kBytes` bytes at `bytes` is found. `finds`: takes sixteen bytes and returns sixteen;
// the high bit of each says whether that byte is found.
template <std::size_t kBytes, class Finds>
bool any_byte(const char* bytes, const Finds& finds) {
  static_assert(kBytes % sizeof(SixteenBytes) == 0);
  using Halves = std::uint64_t __attribute__((vector_size(16)));
  SixteenBytes found{};
#pragma GCC unroll 4
  for (std::size_t i = 0; i < kBytes; i += sizeof(SixteenBytes)) {
    SixteenBytes some;
    std::memcpy(&some, bytes + i, sizeof some);
    found |= finds(some);
  }
  const Halves halves = reinterpret_cast<Halves>(found);
  return ((halves[0] | halves[1]) & 0x8080808080808080) != 0;
}

// Which of the sixteen bytes at `bytes` is the first that is found; 16 if none is.
template <class Finds>
std::size_t first_byte(const char* bytes, const Finds& finds) {
  using Halves = std::uint64_t __attribute__((vector_size(16)));
  SixteenBytes some;
  std::memcpy(&some, bytes, sizeof some);
  const Halves halves = reinterpret_cast<Halves>(finds(some));
  for (std::size_t i = 0; i < 2; ++i) {
    const std::uint64_t found = halves[i] & 0x8080808080808080;
    if (found == 0) continue;
    const int before =
        std::endian::native == std::endian::little ? std::countr_zero(found) : std::countl_zero(found);
    return 8 * i + static_cast<std::size_t>(before) / 8;
  }
  return sizeof some;
}

}  // namespace workpool
