// SPDX-License-Identifier: MIT
#include "common/formats/job_line_limits.h"

#include <algorithm>

namespace workpool {
namespace {

constexpr std::size_t kTypeBytesMax = 64;

}  // namespace

std::optional<Member> member_named(std::string_view name) {
  for (std::size_t i = 0; i < kMembers; ++i) {
    if (kMemberNames[i] == name) return static_cast<Member>(i);
  }
  return std::nullopt;
}

bool is_handler_name(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
           byte == '_' || byte == '.' || byte == '-';
  });
  return plain && !text.empty() && text.size() <= kTypeBytesMax;
}

}  // namespace workpool
