// SPDX-License-Identifier: MIT
// The limits of a line of a jobs file, and the error for a line that is wrong. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace workpool {

inline constexpr std::size_t kLineBytesMax = 1 << 20;  // of a jobs line
// Linux's limit for an argv element, NAME=value or a string command.
inline constexpr std::size_t kArgumentBytesMax = 131'071;

struct LineError {
  std::uint64_t column = 1;  // from 1, in bytes
  std::string message;       // what is wrong and what to do; UTF-8, no control characters
};

}  // namespace workpool
