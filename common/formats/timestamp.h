// SPDX-License-Identifier: MIT
// A point in time as text: RFC 3339 in UTC with milliseconds, such as 2026-11-29T08:05:03.120Z. A value, so
// that results which came together share one: formatting it anew was a sixth of the cost of a result line.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace workpool {

class Timestamp {
 public:
  // `unix_ms`: milliseconds since 1970; what is before that or after the year 9999 becomes the nearest that
  // can be written.
  explicit Timestamp(std::int64_t unix_ms);

  std::string_view text() const { return {text_.data(), text_.size()}; }

 private:
  std::array<char, 24> text_;
};

// Seconds since 1970 as "2026-12-31T23:59:59Z", within the same bounds.
std::string unix_seconds_text(std::int64_t unix_seconds);
// The inverse: nullopt if `text` is nothing that unix_seconds_text writes.
std::optional<std::int64_t> parse_unix_seconds(std::string_view text);

}  // namespace workpool
