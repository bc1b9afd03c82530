// SPDX-License-Identifier: MIT
// What a line of a jobs file may hold, and what is said of one that may not. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace workpool {

inline constexpr std::size_t kLineBytesMax = 1 << 20;  // of a jobs line
inline constexpr std::size_t kArgumentBytesMax =
    131'071;  // argv element, NAME=value, string command: Linux' limit

struct LineError {
  std::uint64_t column = 1;  // from 1, in bytes
  std::string message;       // what is wrong and what to do; UTF-8, no control characters
};

}  // namespace workpool
