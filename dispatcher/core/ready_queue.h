// SPDX-License-Identifier: MIT
// An order of jobs by priority (higher first), then by number. What is enqueued in that order, as jobs that
// are read from a file are, stands in a plain queue, the rest in a binary heap. Stale entries are skipped
// when they surface: each enqueueing gives the job a new stamp, and an entry counts only while the job still
// has it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/base/ring.h"
#include "dispatcher/core/job_facts.h"
#include "dispatcher/core/job_table.h"

namespace workpool::dispatcher {

struct QueueRank {
  std::int32_t priority = 0;
  JobNumber number = 0;
  // True if this one is handed out before the other.
  bool before(const QueueRank& other) const {
    return priority != other.priority ? priority > other.priority : number < other.number;
  }
};

// The best job of a queue.
struct Front {
  JobRow row = 0;
  QueueRank rank;
};

class ReadyQueue {
 public:
  void push(JobTable& jobs, JobRow row);
  // The job leaves the queue from wherever it stands. REQUIRES: it is in this queue.
  void remove(JobTable& jobs, JobRow row);
  std::optional<Front> front(const JobTable& jobs) const;
  JobRow pop(JobTable& jobs);                 // REQUIRES: not empty
  std::size_t size() const { return size_; }  // without stale entries
  bool empty() const { return size_ == 0; }

 private:
  struct Entry {
    QueueRank rank;
    JobRow row = 0;
    std::uint32_t stamp = 0;
  };
  static bool later(const Entry& a, const Entry& b) { return b.rank.before(a.rank); }
  // The best entry; nullptr if there is none. Valid until the next call of any function here.
  const Entry* best(const JobTable& jobs) const;
  bool in_line(const Entry* entry) const { return !line_.empty() && entry == &line_.front(); }
  void pop_heap() const;

  // Looking at the best entry drops stale ones in front of it, which changes nothing that can be seen.
  mutable Ring<Entry> line_;  // each comes after the one before it
  mutable std::vector<Entry> heap_;
  std::size_t size_ = 0;
};

}  // namespace workpool::dispatcher
