// SPDX-License-Identifier: MIT
// A job as its line in the jobs file states it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"

namespace workpool {

// The longest label of a job or a worker.
inline constexpr std::size_t kLabelBytesMax = 64;
// The longest key of a limit, and how many a job may have.
inline constexpr std::size_t kLimitKeyBytesMax = 256;
inline constexpr std::size_t kLimitsMax = 8;

// What runs a job at its worker. The numbers are sent (docs/protocol.md), so a worker may get one that it
// does not know.
enum class JobKind : std::uint8_t { kCommand = 0, kHandler = 1 };

// What the jobs that share a key may do at once, over the whole pool. 0: as much as they like.
struct LimitRule {
  std::uint32_t most = 0;    // so many may be with workers
  std::uint32_t starts = 0;  // so many may start within any time of length `per`
  Duration per{0};
  bool limits_rate() const { return starts > 0; }
  auto operator<=>(const LimitRule&) const = default;
};
// A key that a job names, and what it allows. The empty key is that of all jobs.
struct Limit {
  std::string key;
  LimitRule rule;
  auto operator<=>(const Limit&) const = default;
};
struct LimitView {
  std::string_view key;
  LimitRule rule;
  bool operator==(const LimitView&) const = default;
};

// What a worker must have to run a job, and what else holds the job up. Jobs with the same requirement share
// a ready queue.
struct Requirement {
  std::string type;                 // the handler's name; empty for a command, which every worker runs
  std::vector<std::string> labels;  // sorted, without repeats
  std::uint32_t slots = 1;          // at least 1
  std::vector<Limit> limits{};      // by key, each key once; no worker need know of them
  JobKind kind() const { return type.empty() ? JobKind::kCommand : JobKind::kHandler; }
  auto operator<=>(const Requirement&) const = default;
};
// The same without a copy.
struct RequirementView {
  std::string_view type;
  std::span<const std::string_view> labels;  // sorted, without repeats
  std::uint32_t slots = 1;
  std::span<const LimitView> limits{};  // by key, each key once
  Requirement own() const {
    Requirement owned{std::string(type), std::vector<std::string>(labels.begin(), labels.end()), slots};
    for (const LimitView& limit : limits) owned.limits.push_back({std::string(limit.key), limit.rule});
    return owned;
  }
};
inline bool operator==(const Requirement& left, const RequirementView& right) {
  const auto is_same = [](const Limit& a, const LimitView& b) { return a.key == b.key && a.rule == b.rule; };
  return left.slots == right.slots && left.type == right.type &&
         std::equal(left.labels.begin(), left.labels.end(), right.labels.begin(), right.labels.end()) &&
         std::equal(left.limits.begin(), left.limits.end(), right.limits.begin(), right.limits.end(),
                    is_same);
}
// For unordered maps, which can be asked with views.
struct RequirementHash {
  using is_transparent = void;
  template <class AnyRequirement>
  std::size_t operator()(const AnyRequirement& requirement) const {
    std::size_t hash = std::hash<std::string_view>()(requirement.type) + requirement.slots;
    for (const std::string_view label : requirement.labels)
      hash = hash * 0x9e3779b97f4a7c15 + std::hash<std::string_view>()(label);
    for (const auto& limit : requirement.limits)
      hash = hash * 0x9e3779b97f4a7c15 + std::hash<std::string_view>()(limit.key);
    return hash;
  }
};
template <class Value>
using RequirementMap = std::unordered_map<Requirement, Value, RequirementHash, std::equal_to<>>;

// What a line says about its job for whoever reads the results. Most jobs have none.
struct JobNotes {
  std::string members;  // of the result line, as they are: `"each":{"1":"a"},"meta":7`
  std::string name;     // the values of `each`, for people; empty if there are none
  bool operator==(const JobNotes&) const = default;
};

// One valid line of a jobs file.
struct JobLine {
  std::string id;    // as given; empty if the default is to be used
  std::string work;  // compact JSON of cmd or type and what belongs to it: what `spec` hashes
  Spec spec;
  Requirement requirement;          // the rules of its limits come with JobDefaults
  std::int32_t priority = 0;        // higher first
  std::optional<Duration> timeout;  // per attempt
  std::optional<std::uint32_t> retries;
  JobNotes notes;
  bool operator==(const JobLine&) const = default;
};

// The same without a copy.
struct JobView {
  std::string_view id;
  std::string_view work;
  Spec spec;
  RequirementView requirement;
  std::int32_t priority = 0;
  std::optional<Duration> timeout;
  std::optional<std::uint32_t> retries;
  const JobNotes* notes = nullptr;  // null: none
  JobLine own() const {
    return {std::string(id), std::string(work), spec,    requirement.own(),
            priority,        timeout,           retries, notes == nullptr ? JobNotes{} : *notes};
  }
};

}  // namespace workpool
