// SPDX-License-Identifier: MIT
#include "dispatcher/core/ready_queue.h"

#include <algorithm>

#include "common/check.h"

namespace workpool::dispatcher {

void ReadyQueue::push(JobTable& jobs, std::uint32_t slot) {
  const JobFacts& facts = jobs.at(slot).facts;
  Entry entry{{facts.priority, facts.number}, slot, ++jobs.queue_stamp(slot)};
  if (run_.empty() || run_.back().rank.before(entry.rank)) {
    run_.push_back(std::move(entry));
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
  while (!run_.empty() && stale(run_.front())) run_.pop_front();
  while (!heap_.empty() && stale(heap_.front())) pop_heap();
  if (heap_.empty()) return run_.empty() ? nullptr : &run_.front();
  const bool run_is_first = !run_.empty() && run_.front().rank.before(heap_.front().rank);
  return run_is_first ? &run_.front() : &heap_.front();
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
  if (in_run(entry)) {
    run_.pop_front();
  } else {
    pop_heap();
  }
  ++jobs.queue_stamp(slot);
  --size_;
  return slot;
}

}  // namespace workpool::dispatcher
