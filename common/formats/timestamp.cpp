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

}  // namespace workpool
