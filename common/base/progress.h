// SPDX-License-Identifier: MIT
// How far a job is, as it says itself. For people: nothing is decided by it. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace workpool {

inline constexpr std::uint32_t kProgressMost = 1000;
inline constexpr std::size_t kProgressTextBytesMax = 200;

struct Progress {
  std::uint32_t thousandths = 0;  // at most kProgressMost
  std::string text{};             // UTF-8, at most kProgressTextBytesMax
  friend bool operator==(const Progress&, const Progress&) = default;
};

// `done`: from 0 to 1; what is below 0 or NaN counts as 0, what is above 1 as 1. A longer text is cut.
Progress progress_of(double done, std::string_view text);

}  // namespace workpool
