// SPDX-License-Identifier: MIT
#include "common/formats/timestamp.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "common/base/digits.h"

namespace workpool {
namespace {

struct Date {
  std::uint64_t year = 0, month = 0, day = 0;
};

// Days since 1970-01-01 as a date of the Gregorian calendar; H. Hinnant, "chrono-compatible low-level date
// algorithms", civil_from_days, for days that are not negative.
Date date_of_day(std::uint64_t days) {
  days += 719'468;  // days from 0000-03-01
  const std::uint64_t era = days / 146'097;
  const std::uint64_t day_of_era = days % 146'097;
  const std::uint64_t year_of_era =
      (day_of_era - day_of_era / 1'460 + day_of_era / 36'524 - day_of_era / 146'096) / 365;
  const std::uint64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const std::uint64_t shifted_month = (5 * day_of_year + 2) / 153;  // from March
  const std::uint64_t month = shifted_month < 10 ? shifted_month + 3 : shifted_month - 9;
  return {year_of_era + era * 400 + (month <= 2 ? 1 : 0), month,
          day_of_year - (153 * shifted_month + 2) / 5 + 1};
}

// The inverse, days_from_civil of the same source, for years from 1970 on. Other dates, such as the 31st of
// February, become some day.
std::uint64_t day_of_date(Date date) {
  if (date.month <= 2) --date.year;
  const std::uint64_t era = date.year / 400;
  const std::uint64_t year_of_era = date.year - era * 400;
  const std::uint64_t shifted_month = date.month > 2 ? date.month - 3 : date.month + 9;  // from March
  const std::uint64_t day_of_year = (153 * shifted_month + 2) / 5 + date.day - 1;
  return era * 146'097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719'468;
}

}  // namespace

Timestamp::Timestamp(std::int64_t unix_ms) {
  constexpr std::int64_t kLast = 253'402'300'799'999;  // 9999-12-31T23:59:59.999Z
  const auto ms = static_cast<std::uint64_t>(std::clamp<std::int64_t>(unix_ms, 0, kLast));
  const Date date = date_of_day(ms / 86'400'000);
  std::memcpy(text_.data(), "0000-00-00T00:00:00.000Z", text_.size());
  const auto put = [this](std::size_t at, std::uint64_t two_digits) {
    std::memcpy(text_.data() + at, kDecimalPairs.text + 2 * two_digits, 2);
  };
  put(0, date.year / 100);
  put(2, date.year % 100);
  put(5, date.month);
  put(8, date.day);
  put(11, ms / 3'600'000 % 24);
  put(14, ms / 60'000 % 60);
  put(17, ms / 1'000 % 60);
  put(20, ms / 10 % 100);
  text_[22] = static_cast<char>('0' + ms % 10);
}

std::string unix_seconds_text(std::int64_t unix_seconds) {
  constexpr std::int64_t kMost = 253'402'300'799;  // so that the milliseconds do not overflow
  const Timestamp stamp(std::clamp<std::int64_t>(unix_seconds, 0, kMost) * 1'000);
  return std::string(stamp.text().substr(0, 19)) + 'Z';
}

std::optional<std::int64_t> parse_unix_seconds(std::string_view text) {
  constexpr std::string_view kShape = "0000-00-00T00:00:00Z";
  if (text.size() != kShape.size()) return std::nullopt;
  for (std::size_t at = 0; at < kShape.size(); ++at) {
    const bool digit = text[at] >= '0' && text[at] <= '9';
    if (kShape[at] == '0' ? !digit : text[at] != kShape[at]) return std::nullopt;
  }
  const auto number = [text](std::size_t at, std::size_t digits) {
    std::uint64_t value = 0;
    for (const char digit : text.substr(at, digits))
      value = value * 10 + static_cast<std::uint64_t>(digit - '0');
    return value;
  };
  const Date date{number(0, 4), number(5, 2), number(8, 2)};
  if (date.year < 1970) return std::nullopt;
  const auto seconds = static_cast<std::int64_t>(day_of_date(date) * 86'400 + number(11, 2) * 3'600 +
                                                 number(14, 2) * 60 + number(17, 2));
  // What is no date or time of day reads back as another one.
  return unix_seconds_text(seconds) == text ? std::optional(seconds) : std::nullopt;
}

}  // namespace workpool
