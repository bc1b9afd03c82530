// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_index.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {

std::uint32_t JobIndex::requirement_number(const Requirement& requirement) {
  const auto next = static_cast<std::uint32_t>(requirements_.size());
  const auto [place, is_new] = numbers_.try_emplace(requirement, next);
  if (is_new) requirements_.push_back(requirement);
  return place->second;
}

const std::vector<Requirement>& JobIndex::requirements() const { return requirements_; }

void JobIndex::reserve(std::uint64_t jobs) {
  jobs = std::min(jobs, kJobsMax);
  ids_.reserve(jobs);
  offsets_low_.reserve(jobs);
  offsets_high_.reserve(jobs);
}

void JobIndex::add(const Entry& entry) {
  const std::uint64_t number = size();
  CHECK(number < kJobsMax && entry.offset >> 40 == 0);
  ids_.add({entry.key_prefix, entry.spec_prefix, entry.repeat});
  offsets_low_.push_back(static_cast<std::uint32_t>(entry.offset));
  offsets_high_.push_back(static_cast<std::uint8_t>(entry.offset >> 32));
  if (entry.requirement != 0 || !requirement_numbers_.empty()) {
    if (requirement_numbers_.empty()) requirement_numbers_.reserve(offsets_low_.capacity());
    requirement_numbers_.resize(number);
    requirement_numbers_.push_back(entry.requirement);
  }
  if (entry.priority != 0 || !priorities_.empty()) {
    if (priorities_.empty()) priorities_.reserve(offsets_low_.capacity());
    priorities_.resize(number);
    priorities_.push_back(entry.priority);
  }

  const std::uint64_t ahead_before = gaps_.empty() ? 0 : gaps_.back().ahead;
  CHECK(entry.line >= number + std::max<std::uint64_t>(1, ahead_before));
  const std::uint64_t ahead = entry.line - number;
  if (gaps_.empty() || ahead != ahead_before) gaps_.push_back({static_cast<std::uint32_t>(number), ahead});
}

void JobIndex::seal() { gaps_.shrink_to_fit(); }

std::uint64_t JobIndex::size() const { return offsets_low_.size(); }

std::optional<JobNumber> JobIndex::find(const Key& key) const {
  const auto number = ids_.find(key);
  return number && *number < size() ? number : std::nullopt;  // else an id of another source
}

JobIndex::Entry JobIndex::entry(JobNumber number) const {
  CHECK(number < size());
  Entry entry;
  const JobRegister::Id id = ids_.id(number);
  entry.key_prefix = id.key_prefix;
  entry.spec_prefix = id.spec_prefix;
  entry.repeat = id.repeat;
  entry.offset = offset(number);
  const auto after = std::upper_bound(gaps_.begin(), gaps_.end(), number,
                                      [](JobNumber value, const Gap& gap) { return value < gap.number; });
  entry.line = number + std::prev(after)->ahead;
  entry.requirement = requirement_of(number);
  entry.priority = priority(number);
  return entry;
}

std::uint32_t JobIndex::requirement_of(std::uint64_t number) const {
  return requirement_numbers_.empty() ? 0 : requirement_numbers_[number];
}

void JobIndex::open_queues(bool retry_failed) {
  queues_.assign(std::max<std::size_t>(1, requirements_.size()), Queue{});
  open_ = 0;
  taken_.assign(size(), false);
  using Past = JobRegister::Past;
  for (std::uint64_t number = 0; number < size(); ++number) {
    const Past before = ids_.past(number);
    const bool ready = before == Past::kNone || (before != Past::kOk && retry_failed);
    taken_[number] = !ready;
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
  taken_[number] = true;
  --queues_[requirement_of(number)].open;
  --open_;
  return true;
}

bool JobIndex::taken(JobNumber number) const {
  CHECK(number < taken_.size());
  return taken_[number];
}

std::uint64_t JobIndex::open(std::uint32_t requirement) const {
  return requirement < queues_.size() ? queues_[requirement].open : 0;
}

std::uint64_t JobIndex::open() const { return open_; }

}  // namespace workpool::dispatcher
