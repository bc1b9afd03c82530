// SPDX-License-Identifier: MIT
// The members of a line of a jobs file, their limits, and the error for a line that is wrong. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace workpool {

inline constexpr std::size_t kLineBytesMax = 1 << 20;  // of a jobs line
// Linux's limit for an argv element, NAME=value or a string command.
inline constexpr std::size_t kArgumentBytesMax = 131'071;
inline constexpr std::size_t kIdBytesMax = 256;
inline constexpr std::size_t kLabelsMax = 32;
inline constexpr std::int64_t kTimeoutSecondsMax = 10LL * 365 * 24 * 3600;

inline constexpr std::size_t kOkExitsMax = 256;
inline constexpr std::size_t kEachBytesMax = 64 * 1024;  // of "each", compact
inline constexpr std::size_t kMetaBytesMax = 4096;       // of "meta", compact

// The keys of a job. The first ten make up `work`, in this order.
enum Member : std::size_t {
  kCmd,
  kType,
  kArgs,
  kEnv,
  kCwd,
  kStdin,
  kShell,
  kOkExit,
  kStdout,
  kStderr,
  kId,
  kPriority,
  kTimeout,
  kRetries,
  kLabels,
  kSlots,
  kLimit,
  kEach,
  kMeta
};
inline constexpr std::size_t kMembers = 19;
inline constexpr std::size_t kWorkMembers = 10;
inline constexpr std::array<std::string_view, kMembers> kMemberNames{
    "cmd", "type",     "args",    "env",     "cwd",    "stdin", "shell", "ok_exit", "stdout", "stderr",
    "id",  "priority", "timeout", "retries", "labels", "slots", "limit", "each",    "meta"};

std::optional<Member> member_named(std::string_view name);

// Whether `text` can be a "type": 1 to 64 letters, digits, `_`, `.` or `-`.
bool is_handler_name(std::string_view text);

struct LineError {
  std::uint64_t column = 1;  // from 1, in bytes
  std::string message;       // what is wrong and what to do; UTF-8, no control characters
};

}  // namespace workpool
