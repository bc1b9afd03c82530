// SPDX-License-Identifier: MIT
// What the dispatcher keeps of every job of a jobs file, about 30 bytes each: its id (JobRegister), where its
// line starts, its requirement, its priority and whether it has been taken; and from them the order in which
// jobs are handed out: per requirement by priority (higher first), then by number. Pure data; used by one
// thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"
#include "common/base/job.h"
#include "dispatcher/core/job_facts.h"
#include "dispatcher/core/job_register.h"

namespace workpool::dispatcher {

class JobIndex {
 public:
  // One job in the order of the file. `line` counts from 1 and rises from job to job.
  struct Entry {
    std::uint64_t key_prefix = 0;   // Key::high
    std::uint64_t spec_prefix = 0;  // Spec::high
    std::uint64_t offset = 0;       // of the line's first byte, below 2^40
    std::uint64_t line = 0;
    std::uint64_t repeat = 0;  // as in JobRegister::Id
    std::uint32_t requirement = 0;
    std::int32_t priority = 0;
  };

  // The number of the requirement equal to this one; added if it is new.
  std::uint32_t requirement_number(const Requirement& requirement);
  const std::vector<Requirement>& requirements() const;

  static constexpr std::uint64_t kJobsMax = JobRegister::kIdsMax;

  // The ids of the run: those of the jobs here, each with its job's number, or of what comes from another
  // source.
  JobRegister& ids() { return ids_; }
  const JobRegister& ids() const { return ids_; }

  // Room for that many jobs without moving anything; memory that is never used is never touched.
  void reserve(std::uint64_t jobs);
  // REQUIRES: size() < kJobsMax, the line is above that of the job before.
  void add(const Entry& entry);
  // Call once, after the last add and before anything below.
  void seal();

  std::uint64_t size() const;
  // The job with this key, whatever its state.
  std::optional<JobNumber> find(const Key& key) const;
  Entry entry(JobNumber number) const;
  // Parts of it that cost less.
  std::uint64_t offset(JobNumber number) const {
    return std::uint64_t{offsets_high_[number]} << 32 | offsets_low_[number];
  }
  std::int32_t priority(JobNumber number) const { return priorities_.empty() ? 0 : priorities_[number]; }

  // After the last JobRegister::set_past: the jobs to hand out are those of kNone, and with `retry_failed`
  // those that are not kOk. Builds the queues; everything else counts as taken.
  void open_queues(bool retry_failed);

  // The first job of this requirement that has not been taken; amortised constant time.
  std::optional<JobNumber> front(std::uint32_t requirement);
  // Takes a job out of its queue, at the front or anywhere. True if it was still in it.
  bool take(JobNumber number);
  bool taken(JobNumber number) const;
  // How many have not been taken, of one requirement and of all.
  std::uint64_t open(std::uint32_t requirement) const;
  std::uint64_t open() const;

 private:
  // From job `number` on (until the next gap) the line is the number plus `ahead`.
  struct Gap {
    std::uint32_t number = 0;
    std::uint64_t ahead = 0;
  };
  // The queue of a requirement: its part of order_, or with one queue in file order the numbers themselves.
  struct Queue {
    std::uint32_t next = 0;
    std::uint32_t end = 0;
    std::uint64_t open = 0;
  };

  std::uint32_t requirement_of(std::uint64_t number) const;
  void sort_order();

  std::vector<Requirement> requirements_;
  RequirementMap<std::uint32_t> numbers_;  // of requirements_

  JobRegister ids_;

  // By job.
  std::vector<std::uint32_t> offsets_low_;  // 40 bits in two arrays
  std::vector<std::uint8_t> offsets_high_;
  std::vector<bool> taken_;                         // once the queues are open
  std::vector<std::uint32_t> requirement_numbers_;  // empty while all are 0
  std::vector<std::int32_t> priorities_;            // empty while all are 0

  std::vector<Gap> gaps_;

  std::vector<std::uint32_t> order_;  // by requirement, priority (higher first), number; empty while that is
                                      // the order of the numbers
  std::vector<Queue> queues_;         // by requirement
  std::uint64_t open_ = 0;
};

}  // namespace workpool::dispatcher
