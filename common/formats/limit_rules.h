// SPDX-License-Identifier: MIT
// What the keys of jobs allow (`--limit`, `--rate`, and the member "limits" of a jobs file's first line):
//   KEY=3        at most three of its jobs at once
//   KEY=10/s     at most ten of them start within any second; also 100/m, 7/h, 5/10s, 0.5/s
//   KEY=2,5/s    both
// A `*` in KEY stands for any text: each key of that form has the limit for itself. Pure.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/job.h"

namespace workpool {

// Returns what is wrong, for people, if `text` is no such rule. A rate is kept evenly: `100/m` as 2 in 1.2 s,
// `7/h` as 1 in 514.3 s, so that starts do not bunch by more than a second's.
std::variant<LimitRule, std::string> parse_limit_rule(std::string_view text);
// The same of a rate alone, as `--rate` takes it.
std::variant<LimitRule, std::string> parse_rate(std::string_view text);
// A text that parse_limit_rule reads back: "3", "10/s", "2,5/s", "1/10s".
std::string text_of(const LimitRule& rule);

// What is wrong with a key, for people; empty if nothing is.
std::string limit_key_fault(std::string_view key);

class LimitRules {
 public:
  // `key`: with at most one `*`; without a fault. A later rule for the same key replaces the one before.
  void set(std::string_view key, const LimitRule& rule);
  // Of all jobs, whatever their keys.
  void set_rate(const LimitRule& rule) { rate_ = rule; }
  const std::optional<LimitRule>& rate() const { return rate_; }
  // Takes from `others` what these do not say.
  void fill_in(const LimitRules& others);
  // The rule of a job's key: its own, or else that of the pattern with the longest text that fits it.
  std::optional<LimitRule> find(std::string_view key) const;
  // Whether this very key or pattern has a rule.
  bool has(std::string_view key) const;
  bool empty() const { return rules_.empty() && patterns_.empty(); }
  // The value of "limits" in a jobs file's first line: {"db":"3","host:*":"2,5/s"}, by key.
  std::string json() const;
  // The keys that have a rule, for people: "db, host:*"; empty if there are none.
  std::string names() const;
  bool operator==(const LimitRules&) const = default;

 private:
  struct Pattern {
    std::string before;  // the `*`
    std::string after;
    LimitRule rule;
    bool fits(std::string_view key) const {
      return key.size() >= before.size() + after.size() && key.starts_with(before) && key.ends_with(after);
    }
    bool operator==(const Pattern&) const = default;
  };
  // Every key and pattern with its text.
  std::vector<std::pair<std::string, std::string>> sorted() const;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>()(key); }
  };

  std::unordered_map<std::string, LimitRule, Hash, std::equal_to<>> rules_;
  std::vector<Pattern> patterns_;  // the longest first
  std::optional<LimitRule> rate_;
};

}  // namespace workpool
