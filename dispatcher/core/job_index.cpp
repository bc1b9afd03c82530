// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_index.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {
namespace {

__extension__ typedef unsigned __int128 Wide;

// Room in the table for `jobs` entries at 4/5 full: more makes probes long, less costs memory that nobody
// reads.
std::uint64_t table_places(std::uint64_t jobs) { return jobs + jobs / 4 + 16; }

}  // namespace

std::uint32_t JobIndex::requirement_number(const Requirement& requirement) {
  const auto next = static_cast<std::uint32_t>(requirements_.size());
  const auto [place, is_new] = numbers_.try_emplace(requirement, next);
  if (is_new) requirements_.push_back(requirement);
  return place->second;
}

const std::vector<Requirement>& JobIndex::requirements() const { return requirements_; }

void JobIndex::reserve(std::uint64_t jobs) {
  jobs = std::min(jobs, kJobsMax);
  key_prefixes_.reserve(jobs);
  spec_prefixes_.reserve(jobs);
  offsets_low_.reserve(jobs);
  offsets_high_.reserve(jobs);
  flags_.reserve(jobs);
  if (table_places(jobs) > table_.size()) grow_table(jobs);
}

void JobIndex::add(const Entry& entry) {
  const std::uint64_t number = size();
  CHECK(number < kJobsMax && entry.offset >> 40 == 0);
  key_prefixes_.push_back(entry.key_prefix);
  spec_prefixes_.push_back(entry.spec_prefix);
  offsets_low_.push_back(static_cast<std::uint32_t>(entry.offset));
  offsets_high_.push_back(static_cast<std::uint8_t>(entry.offset >> 32));
  flags_.push_back(entry.repeat == 0 ? 0 : kDefaultId);

  if (entry.repeat > 1 || !repeats_.empty()) {
    CHECK(entry.repeat <= kJobsMax);
    if (repeats_.empty()) {
      repeats_.reserve(key_prefixes_.capacity());
      for (std::uint64_t i = 0; i < number; ++i) repeats_.push_back((flags_[i] & kDefaultId) != 0 ? 1 : 0);
    }
    repeats_.push_back(static_cast<std::uint32_t>(entry.repeat));
  }
  if (entry.requirement != 0 || !requirement_numbers_.empty()) {
    if (requirement_numbers_.empty()) requirement_numbers_.reserve(key_prefixes_.capacity());
    requirement_numbers_.resize(number);
    requirement_numbers_.push_back(entry.requirement);
  }
  if (entry.priority != 0 || !priorities_.empty()) {
    if (priorities_.empty()) priorities_.reserve(key_prefixes_.capacity());
    priorities_.resize(number);
    priorities_.push_back(entry.priority);
  }

  const std::uint64_t ahead_before = gaps_.empty() ? 0 : gaps_.back().ahead;
  CHECK(entry.line >= number + std::max<std::uint64_t>(1, ahead_before));
  const std::uint64_t ahead = entry.line - number;
  if (gaps_.empty() || ahead != ahead_before) gaps_.push_back({static_cast<std::uint32_t>(number), ahead});

  if (table_places(number + 1) > table_.size()) grow_table((number + 1) * 3 / 2);
  insert(static_cast<std::uint32_t>(number));
}

void JobIndex::seal() {
  // reserve() may have been generous. The table is not made smaller: its empty places are spread over all its
  // pages.
  gaps_.shrink_to_fit();
}

std::uint64_t JobIndex::size() const { return key_prefixes_.size(); }

JobIndex::Entry JobIndex::entry(JobNumber number) const {
  CHECK(number < size());
  Entry entry;
  entry.key_prefix = key_prefixes_[number];
  entry.spec_prefix = spec_prefixes_[number];
  entry.offset = std::uint64_t{offsets_high_[number]} << 32 | offsets_low_[number];
  const auto after = std::upper_bound(gaps_.begin(), gaps_.end(), number,
                                      [](JobNumber value, const Gap& gap) { return value < gap.number; });
  entry.line = number + std::prev(after)->ahead;
  entry.repeat = !repeats_.empty() ? repeats_[number] : (flags_[number] & kDefaultId) != 0 ? 1 : 0;
  entry.requirement = requirement_of(number);
  entry.priority = priority_of(number);
  return entry;
}

// ---- the table ----

// Prefixes are hashes, so their high bits spread evenly over any number of places.
std::size_t JobIndex::place_of(std::uint64_t key_prefix) const {
  return static_cast<std::size_t>(Wide{key_prefix} * table_.size() >> 64);
}

// Its low bits, which the place does not depend on; never 0.
std::uint8_t JobIndex::tag_of(std::uint64_t key_prefix) {
  return std::max<std::uint8_t>(1, static_cast<std::uint8_t>(key_prefix));
}

void JobIndex::grow_table(std::uint64_t jobs) {
  table_ = {};  // the old one goes before the new one comes
  tags_ = {};
  table_.resize(table_places(jobs));
  tags_.resize(table_.size());
  for (std::uint64_t number = 0; number < size(); ++number) insert(static_cast<std::uint32_t>(number));
}

void JobIndex::insert(std::uint32_t number) {
  const std::uint64_t key_prefix = key_prefixes_[number];
  std::size_t place = place_of(key_prefix);
  while (tags_[place] != 0) {
    if (++place == tags_.size()) place = 0;
  }
  tags_[place] = tag_of(key_prefix);
  table_[place] = number;
}

void JobIndex::expect(std::uint64_t key_prefix) const {
  if (tags_.empty()) return;
  const std::size_t place = place_of(key_prefix);
  __builtin_prefetch(&tags_[place], 1);
  __builtin_prefetch(&table_[place], 1);
}

std::optional<JobNumber> JobIndex::find_prefix(std::uint64_t key_prefix) const {
  if (table_.empty()) return std::nullopt;
  const std::uint8_t tag = tag_of(key_prefix);
  std::size_t place = place_of(key_prefix);
  while (tags_[place] != 0) {
    if (tags_[place] == tag && key_prefixes_[table_[place]] == key_prefix) return table_[place];
    if (++place == tags_.size()) place = 0;
  }
  return std::nullopt;
}

std::optional<JobNumber> JobIndex::find(const Key& key) const { return find_prefix(key.high); }

bool JobIndex::has_spec(JobNumber number, const Spec& spec) const {
  CHECK(number < size());
  return spec_prefixes_[number] == spec.high;
}

// ---- past and queues ----

void JobIndex::set_past(JobNumber number, Past past) {
  CHECK(number < size());
  flags_[number] = static_cast<std::uint8_t>((flags_[number] & ~kPastMask) | static_cast<std::uint8_t>(past));
}

JobIndex::Past JobIndex::past(JobNumber number) const {
  CHECK(number < size());
  return static_cast<Past>(flags_[number] & kPastMask);
}

std::uint32_t JobIndex::requirement_of(std::uint64_t number) const {
  return requirement_numbers_.empty() ? 0 : requirement_numbers_[number];
}

std::int32_t JobIndex::priority_of(std::uint64_t number) const {
  return priorities_.empty() ? 0 : priorities_[number];
}

void JobIndex::open_queues(bool retry_failed) {
  queues_.assign(std::max<std::size_t>(1, requirements_.size()), Queue{});
  open_ = 0;
  for (std::uint64_t number = 0; number < size(); ++number) {
    const Past before = past(number);
    const bool ready = before == Past::kNone || (before != Past::kOk && retry_failed);
    flags_[number] = static_cast<std::uint8_t>(ready ? flags_[number] & ~kTaken : flags_[number] | kTaken);
    Queue& queue = queues_[requirement_of(number)];
    ++queue.end;  // a count at first
    queue.open += ready ? 1 : 0;
    open_ += ready ? 1 : 0;
  }
  std::uint32_t begin = 0;
  for (Queue& queue : queues_) {
    queue.next = begin;
    begin += queue.end;
    queue.end = begin;
  }
  if (requirement_numbers_.empty() && priorities_.empty()) {
    order_.clear();
  } else {
    sort_order();
  }
}

// Every job at its place: by requirement through the parts that open_queues measured, inside them by
// priority.
void JobIndex::sort_order() {
  order_.resize(size());
  std::vector<std::uint32_t> next;
  for (const Queue& queue : queues_) next.push_back(queue.next);
  for (std::uint32_t number = 0; number < size(); ++number) order_[next[requirement_of(number)]++] = number;
  if (priorities_.empty()) return;
  for (const Queue& queue : queues_) {
    std::sort(order_.begin() + queue.next, order_.begin() + queue.end,
              [this](std::uint32_t left, std::uint32_t right) {
                if (priorities_[left] != priorities_[right]) return priorities_[left] > priorities_[right];
                return left < right;
              });
  }
}

std::optional<JobNumber> JobIndex::front(std::uint32_t requirement) {
  if (requirement >= queues_.size()) return std::nullopt;
  Queue& queue = queues_[requirement];
  for (; queue.next < queue.end; ++queue.next) {
    const std::uint32_t number = order_.empty() ? queue.next : order_[queue.next];
    if (!taken(number)) return number;
  }
  return std::nullopt;
}

bool JobIndex::take(JobNumber number) {
  if (taken(number)) return false;
  flags_[number] |= kTaken;
  --queues_[requirement_of(number)].open;
  --open_;
  return true;
}

bool JobIndex::taken(JobNumber number) const {
  CHECK(number < size());
  return (flags_[number] & kTaken) != 0;
}

std::uint64_t JobIndex::open(std::uint32_t requirement) const {
  return requirement < queues_.size() ? queues_[requirement].open : 0;
}

std::uint64_t JobIndex::open() const { return open_; }

}  // namespace workpool::dispatcher
