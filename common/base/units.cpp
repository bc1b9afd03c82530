// SPDX-License-Identifier: MIT
#include "common/base/units.h"

#include <algorithm>
#include <array>

namespace workpool {
namespace {

__extension__ typedef unsigned __int128 Wide;

constexpr std::uint64_t kDurationMax = 10ULL * 365 * 24 * 3600 * 1'000'000;  // 10 years in microseconds

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

// From large to small: the parts of "1h30m" must come in this order.
constexpr std::array<Unit, 6> kDurationUnits{{{"d", 86'400'000'000},
                                              {"h", 3'600'000'000},
                                              {"m", 60'000'000},
                                              {"s", 1'000'000},
                                              {"ms", 1'000},
                                              {"us", 1}}};

constexpr std::array<Unit, 11> kSizeUnits{{{"", 1},
                                           {"B", 1},
                                           {"KiB", 1ULL << 10},
                                           {"MiB", 1ULL << 20},
                                           {"GiB", 1ULL << 30},
                                           {"TiB", 1ULL << 40},
                                           {"kB", 1'000},
                                           {"KB", 1'000},
                                           {"MB", 1'000'000},
                                           {"GB", 1'000'000'000},
                                           {"TB", 1'000'000'000'000}}};

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

bool is_letter(char letter) { return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z'); }

// A decimal number without sign or exponent, exact: digits / 10^places.
struct Decimal {
  std::uint64_t digits = 0;
  unsigned places = 0;
};

constexpr unsigned kDigitsMax = 18;  // so that `digits` fits; far more than any duration or size needs

// Takes a decimal off the front of `text`: digits, or digits on both sides of a point. Returns nullopt if
// there is none, or one with too many digits.
std::optional<Decimal> take_decimal(std::string_view& text) {
  Decimal number;
  std::size_t at = 0;
  unsigned kept = 0;
  bool point = false;
  for (; at < text.size(); ++at) {
    if (text[at] == '.' && !point && at > 0) {
      point = true;
      continue;
    }
    if (!is_digit(text[at])) break;
    number.digits = number.digits * 10 + static_cast<std::uint64_t>(text[at] - '0');
    if (number.digits != 0 && ++kept > kDigitsMax) return std::nullopt;
    if (point) ++number.places;
    if (number.places > kDigitsMax) return std::nullopt;
  }
  if (at == 0 || text[at - 1] == '.') return std::nullopt;
  text.remove_prefix(at);
  return number;
}

std::uint64_t power_of_ten(unsigned exponent) {
  std::uint64_t power = 1;
  while (exponent-- > 0) power *= 10;
  return power;
}

std::string_view take_letters(std::string_view& text) {
  const auto end = std::find_if_not(text.begin(), text.end(), is_letter);
  const auto letters = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(letters.size());
  return letters;
}

// "1500" and 3 places: "1.5"; "2000" and 3: "2".
std::string with_point(std::uint64_t digits, unsigned places) {
  const std::uint64_t power = power_of_ten(places);
  std::string text = std::to_string(digits / power);
  std::string rest = std::to_string(digits % power);
  rest.insert(0, places - rest.size(), '0');
  while (!rest.empty() && rest.back() == '0') rest.pop_back();
  return rest.empty() ? text : text + '.' + rest;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) {
  if (text.empty()) return std::nullopt;
  Wide total = 0;
  bool some = false;          // anything but zeros
  std::size_t next_unit = 0;  // units must get smaller
  const bool first_only = take_letters(text).empty();
  if (!first_only) return std::nullopt;
  bool first = true;
  while (!text.empty()) {
    const auto number = take_decimal(text);
    if (!number) return std::nullopt;
    std::string_view name = take_letters(text);
    if (name.empty() && first && text.empty()) name = "s";
    first = false;
    std::size_t unit = next_unit;
    while (unit < kDurationUnits.size() && kDurationUnits[unit].name != name) ++unit;
    if (unit == kDurationUnits.size()) return std::nullopt;
    next_unit = unit + 1;
    some = some || number->digits != 0;
    total += Wide{number->digits} * kDurationUnits[unit].factor / power_of_ten(number->places);
    if (total > kDurationMax) return std::nullopt;
  }
  if (some && total == 0) total = 1;  // 0.1us is short, but it is not "none"
  return Duration{static_cast<std::int64_t>(total)};
}

std::string format_duration(Duration duration) {
  auto left = static_cast<std::uint64_t>(std::max<std::int64_t>(0, duration.count()));
  if (left == 0) return "0s";
  if (left < 1'000) return std::to_string(left) + "us";
  if (left < 1'000'000) return with_point(left, 3) + "ms";
  std::string text;
  for (std::size_t unit = 0; unit < 3; ++unit) {
    const std::uint64_t whole = left / kDurationUnits[unit].factor;
    if (whole == 0) continue;
    text += std::to_string(whole);
    text += kDurationUnits[unit].name;
    left %= kDurationUnits[unit].factor;
  }
  if (left != 0) text += with_point(left, 6) + "s";
  return text;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const auto number = take_decimal(text);
  if (!number) return std::nullopt;
  for (const Unit& unit : kSizeUnits) {
    if (unit.name != text) continue;
    const Wide bytes = Wide{number->digits} * unit.factor;
    const std::uint64_t power = power_of_ten(number->places);
    if (bytes % power != 0 || bytes / power > ~std::uint64_t{0}) return std::nullopt;
    return static_cast<std::uint64_t>(bytes / power);
  }
  return std::nullopt;
}

}  // namespace workpool
