// SPDX-License-Identifier: MIT
#include "dispatcher/core/ready_queue.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {

void ReadyQueue::push(JobTable& jobs, std::uint32_t slot) {
  const JobFacts& facts = jobs.at(slot).facts;
  const Entry entry{{facts.priority, facts.number}, slot, ++jobs.queue_stamp(slot)};
  if (line_.empty() || line_.back().rank.before(entry.rank)) {
    line_.emplace_back() = entry;
  } else {
    heap_.push_back(entry);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  ++size_;
}

void ReadyQueue::remove(JobTable& jobs, std::uint32_t slot) {
  CHECK(size_ > 0);
  ++jobs.queue_stamp(slot);
  --size_;
}

void ReadyQueue::pop_heap() {
  std::pop_heap(heap_.begin(), heap_.end(), later);
  heap_.pop_back();
}

const ReadyQueue::Entry* ReadyQueue::best(const JobTable& jobs) {
  const auto stale = [&jobs](const Entry& entry) { return jobs.queue_stamp(entry.slot) != entry.stamp; };
  while (!line_.empty() && stale(line_.front())) line_.pop_front();
  while (!heap_.empty() && stale(heap_.front())) pop_heap();
  if (heap_.empty()) return line_.empty() ? nullptr : &line_.front();
  const bool line_is_first = !line_.empty() && line_.front().rank.before(heap_.front().rank);
  return line_is_first ? &line_.front() : &heap_.front();
}

std::optional<std::uint32_t> ReadyQueue::front(const JobTable& jobs) {
  const Entry* entry = best(jobs);
  if (entry == nullptr) return std::nullopt;
  return entry->slot;
}

std::optional<QueueRank> ReadyQueue::front_rank(const JobTable& jobs) {
  const Entry* entry = best(jobs);
  if (entry == nullptr) return std::nullopt;
  return entry->rank;
}

std::uint32_t ReadyQueue::pop(JobTable& jobs) {
  const Entry* entry = best(jobs);
  CHECK(entry != nullptr);
  const std::uint32_t slot = entry->slot;
  if (in_line(entry)) {
    line_.pop_front();
  } else {
    pop_heap();
  }
  ++jobs.queue_stamp(slot);
  --size_;
  return slot;
}

}  // namespace workpool::dispatcher
