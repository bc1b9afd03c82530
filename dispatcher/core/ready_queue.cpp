// SPDX-License-Identifier: MIT
#include "dispatcher/core/ready_queue.h"

#include <algorithm>

#include "common/check.h"

namespace workpool::dispatcher {

void ReadyQueue::push(JobTable& jobs, std::uint32_t slot) {
  const JobFacts& facts = jobs.at(slot).facts;
  heap_.push_back({{facts.priority, facts.number}, slot, ++jobs.queue_stamp(slot), jobs.handle(slot)});
  std::push_heap(heap_.begin(), heap_.end(), later);
  ++size_;
}

void ReadyQueue::remove(JobTable& jobs, std::uint32_t slot) {
  CHECK(size_ > 0);
  ++jobs.queue_stamp(slot);
  --size_;
}

void ReadyQueue::drop_stale(const JobTable& jobs) {
  while (!heap_.empty()) {
    const Entry& top = heap_.front();
    if (jobs.find(top.handle) == top.slot && jobs.queue_stamp(top.slot) == top.stamp) return;
    std::pop_heap(heap_.begin(), heap_.end(), later);
    heap_.pop_back();
  }
}

std::optional<std::uint32_t> ReadyQueue::front(const JobTable& jobs) {
  drop_stale(jobs);
  if (heap_.empty()) return std::nullopt;
  return heap_.front().slot;
}

std::optional<QueueRank> ReadyQueue::front_rank(const JobTable& jobs) {
  drop_stale(jobs);
  if (heap_.empty()) return std::nullopt;
  return heap_.front().rank;
}

std::uint32_t ReadyQueue::pop(JobTable& jobs) {
  drop_stale(jobs);
  CHECK(!heap_.empty());
  const std::uint32_t slot = heap_.front().slot;
  std::pop_heap(heap_.begin(), heap_.end(), later);
  heap_.pop_back();
  ++jobs.queue_stamp(slot);
  --size_;
  return slot;
}

}  // namespace workpool::dispatcher
