// SPDX-License-Identifier: MIT
#include "common/formats/limit_rules.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "common/base/text.h"
#include "common/base/units.h"
#include "common/formats/json_text.h"

namespace workpool {
namespace {

constexpr std::uint32_t kMost = 1'000'000;       // of either number
constexpr std::uint64_t kTimeLeast = 1'000'000;  // a second
constexpr const char* kForms =
    "say how many at once, such as 3, how many may start, such as 10/s, or both: 2,5/s";
constexpr const char* kRateForms = "say how many jobs may start, such as 10/s, 100/m or 1/10s";

std::optional<std::uint32_t> whole_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number > kMost) return std::nullopt;
  return number;
}

// A number with up to three decimals, in thousandths.
std::optional<std::uint64_t> thousandths(std::string_view text) {
  const std::size_t point = text.find('.');
  const auto whole = whole_number(text.substr(0, point));
  if (!whole) return std::nullopt;
  std::string decimals(point == std::string_view::npos ? "" : text.substr(point + 1));
  if (decimals.size() > 3 || (point != std::string_view::npos && decimals.empty())) return std::nullopt;
  decimals.resize(3, '0');
  const auto rest = whole_number(decimals);
  if (!rest) return std::nullopt;
  return std::uint64_t{*whole} * 1000 + *rest;
}

std::optional<Duration> period(std::string_view text) {
  if (text.empty()) return std::nullopt;
  const bool has_number = text.front() >= '0' && text.front() <= '9';
  return parse_duration(has_number ? std::string(text) : '1' + std::string(text));
}

}  // namespace

std::variant<LimitRule, std::string> parse_rate(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return kRateForms;
  const auto count = thousandths(text.substr(0, slash));
  const auto per = period(text.substr(slash + 1));
  if (!count || !per || per->count() == 0) return kRateForms;
  if (*count == 0) return "a rate of 0 would start nothing";
  // Evenly: as many as fit into a second, or one, in the time that this takes at least.
  const auto thousand_times = static_cast<std::uint64_t>(per->count()) * 1000;
  const auto up = [](std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; };
  const std::uint64_t starts = std::max<std::uint64_t>(1, up(*count * kTimeLeast, thousand_times));
  const std::uint64_t time = up(starts * thousand_times, *count);
  if (starts > kMost) return "more than a million starts in a time is no limit";
  LimitRule rule;
  rule.starts = static_cast<std::uint32_t>(starts);
  rule.per = Duration(static_cast<std::int64_t>(time));
  return rule;
}

std::variant<LimitRule, std::string> parse_limit_rule(std::string_view text) {
  LimitRule rule;
  const std::size_t comma = text.find(',');
  const std::string_view first = text.substr(0, comma);
  const bool has_count = first.find('/') == std::string_view::npos;
  if (comma != std::string_view::npos && !has_count) return kForms;
  if (has_count) {
    const auto most = whole_number(first);
    if (!most) return kForms;
    if (*most == 0) return "a limit of 0 would start nothing";
    rule.most = *most;
    if (comma == std::string_view::npos) return rule;
  }
  auto rate = parse_rate(has_count ? text.substr(comma + 1) : first);
  if (const auto* fault = std::get_if<std::string>(&rate)) return *fault == kRateForms ? kForms : *fault;
  rule.starts = std::get<LimitRule>(rate).starts;
  rule.per = std::get<LimitRule>(rate).per;
  return rule;
}

std::string text_of(const LimitRule& rule) {
  std::string text;
  if (rule.most > 0) text = std::to_string(rule.most);
  if (!rule.limits_rate()) return text;
  if (!text.empty()) text += ',';
  // In the unit that a person would say it in.
  for (const auto& [unit, name] :
       {std::pair(Duration(seconds(1)), "s"), {seconds(60), "m"}, {seconds(3600), "h"}}) {
    if (unit.count() % rule.per.count() != 0) continue;
    const std::int64_t starts = rule.starts * (unit / rule.per);
    return text + std::to_string(starts) + '/' + name;
  }
  return text + std::to_string(rule.starts) + '/' + format_duration(rule.per);
}

std::string limit_key_fault(std::string_view key) {
  if (key.empty() || key.size() > kLimitKeyBytesMax)
    return "a limit's key must be 1 to " + std::to_string(kLimitKeyBytesMax) + " bytes long";
  if (!is_utf8(key) || key.find('\0') != std::string_view::npos)
    return "a limit's key must be UTF-8 without NUL bytes";
  return {};
}

void LimitRules::set(std::string_view key, const LimitRule& rule) {
  const std::size_t star = key.find('*');
  if (star == std::string_view::npos) {
    rules_.insert_or_assign(std::string(key), rule);
    return;
  }
  const Pattern pattern{std::string(key.substr(0, star)), std::string(key.substr(star + 1)), rule};
  const auto same = std::find_if(patterns_.begin(), patterns_.end(), [&](const Pattern& known) {
    return known.before == pattern.before && known.after == pattern.after;
  });
  if (same != patterns_.end()) {
    same->rule = rule;
    return;
  }
  const auto shorter = std::find_if(patterns_.begin(), patterns_.end(), [&](const Pattern& known) {
    return known.before.size() + known.after.size() < pattern.before.size() + pattern.after.size();
  });
  patterns_.insert(shorter, pattern);
}

void LimitRules::fill_in(const LimitRules& others) {
  if (!rate_) rate_ = others.rate_;
  for (const auto& [key, rule] : others.rules_) rules_.try_emplace(key, rule);
  for (const Pattern& other : others.patterns_) {
    const bool known = std::any_of(patterns_.begin(), patterns_.end(), [&](const Pattern& own) {
      return own.before == other.before && own.after == other.after;
    });
    if (!known) set(other.before + '*' + other.after, other.rule);
  }
}

std::optional<LimitRule> LimitRules::find(std::string_view key) const {
  if (const auto own = rules_.find(key); own != rules_.end()) return own->second;
  for (const Pattern& pattern : patterns_) {
    if (pattern.fits(key)) return pattern.rule;
  }
  return std::nullopt;
}

bool LimitRules::has(std::string_view key) const {
  const auto all = sorted();
  return std::any_of(all.begin(), all.end(), [key](const auto& entry) { return entry.first == key; });
}

std::vector<std::pair<std::string, std::string>> LimitRules::sorted() const {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& [key, rule] : rules_) all.emplace_back(key, text_of(rule));
  for (const Pattern& pattern : patterns_)
    all.emplace_back(pattern.before + '*' + pattern.after, text_of(pattern.rule));
  std::sort(all.begin(), all.end());
  return all;
}

std::string LimitRules::json() const {
  std::string json;
  for (const auto& [key, text] : sorted()) {
    json += json.empty() ? '{' : ',';
    append_json_string(json, key);
    json += ':';
    append_json_string(json, text);
  }
  return json.empty() ? "{}" : json + '}';
}

std::string LimitRules::names() const {
  std::string names;
  for (const auto& [key, text] : sorted()) names += (names.empty() ? "" : ", ") + key;
  return names;
}

}  // namespace workpool
