// SPDX-License-Identifier: MIT
#include "dispatcher/core/ready_queue.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {

void ReadyQueue::push(JobTable& jobs, JobRow row) {
  const JobFacts& facts = jobs.at(row).facts;
  const Entry entry{{facts.priority, facts.number}, row, ++jobs.queue_stamp(row)};
  if (line_.empty() || line_.back().rank.before(entry.rank)) {
    line_.emplace_back() = entry;
  } else {
    heap_.push_back(entry);
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  ++size_;
}

void ReadyQueue::remove(JobTable& jobs, JobRow row) {
  CHECK(size_ > 0);
  ++jobs.queue_stamp(row);
  --size_;
}

void ReadyQueue::pop_heap() const {
  std::pop_heap(heap_.begin(), heap_.end(), later);
  heap_.pop_back();
}

const ReadyQueue::Entry* ReadyQueue::best(const JobTable& jobs) const {
  const auto stale = [&jobs](const Entry& entry) { return jobs.queue_stamp(entry.row) != entry.stamp; };
  while (!line_.empty() && stale(line_.front())) line_.pop_front();
  while (!heap_.empty() && stale(heap_.front())) pop_heap();
  if (heap_.empty()) return line_.empty() ? nullptr : &line_.front();
  const bool line_is_first = !line_.empty() && line_.front().rank.before(heap_.front().rank);
  return line_is_first ? &line_.front() : &heap_.front();
}

std::optional<Front> ReadyQueue::front(const JobTable& jobs) const {
  const Entry* entry = best(jobs);
  if (entry == nullptr) return std::nullopt;
  return Front{entry->row, entry->rank};
}

JobRow ReadyQueue::pop(JobTable& jobs) {
  const Entry* entry = best(jobs);
  CHECK(entry != nullptr);
  const JobRow row = entry->row;
  if (in_line(entry)) {
    line_.pop_front();
  } else {
    pop_heap();
  }
  ++jobs.queue_stamp(row);
  --size_;
  return row;
}

}  // namespace workpool::dispatcher
