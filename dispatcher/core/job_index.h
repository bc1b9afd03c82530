// SPDX-License-Identifier: MIT
// What the dispatcher keeps of every job of a jobs file, about 30 bytes each: prefixes of key and spec, where
// its line starts, its requirement, its priority and its state; and from them the order in which jobs are
// handed out: per requirement by priority (higher first), then by number. Pure data; used by one thread at a
// time.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/base/ids.h"
#include "common/base/job.h"

namespace workpool::dispatcher {

class JobIndex {
 public:
  // One job in the order of the file. `line` counts from 1 and rises from job to job.
  struct Entry {
    std::uint64_t key_prefix = 0;   // Key::high
    std::uint64_t spec_prefix = 0;  // Spec::high
    std::uint64_t offset = 0;       // of the line's first byte, below 2^40
    std::uint64_t line = 0;
    std::uint64_t repeat = 0;  // 0 where the id was given, else 1, 2 …
    std::uint32_t requirement = 0;
    std::int32_t priority = 0;
  };

  // What is known of a job from the results file.
  enum class Past : std::uint8_t { kNone, kOk, kFailed, kTimeout, kQuarantined };

  // The number of the requirement equal to this one; added where it is new.
  std::uint32_t requirement_number(const Requirement& requirement);
  const std::vector<Requirement>& requirements() const;

  // What the table keeps is 32 bits wide, and what is counted from 1 fits it too.
  static constexpr std::uint64_t kJobsMax = 0xffff'fffe;

  // Room for that many jobs without moving anything; memory that is never used is never touched.
  void reserve(std::uint64_t jobs);
  // REQUIRES: size() < kJobsMax, the line is above that of the job before.
  void add(const Entry& entry);
  // Has the memory that find_prefix() and add() of this key prefix will ask for brought near: a miss of the
  // caches costs as much as all the rest of an add.
  void expect(std::uint64_t key_prefix) const;
  // The first job added with this key prefix; also before seal().
  std::optional<JobNumber> find_prefix(std::uint64_t key_prefix) const;
  // Call once, after the last add and before anything below.
  void seal();

  std::uint64_t size() const;
  Entry entry(JobNumber number) const;

  // The job with this key, whatever its state.
  std::optional<JobNumber> find(const Key& key) const;
  // Whether the job's line, as indexed, had this spec (by its prefix).
  bool has_spec(JobNumber number, const Spec& spec) const;

  // Results file: the last line of a job counts, so a later call replaces an earlier one.
  void set_past(JobNumber number, Past past);
  Past past(JobNumber number) const;

  // After the last set_past: the jobs to hand out are those of kNone, and with `retry_failed` those that are
  // not kOk. Builds the queues; everything else counts as taken.
  void open_queues(bool retry_failed);

  // The first job of this requirement that has not been taken; amortised constant time.
  std::optional<JobNumber> front(std::uint32_t requirement);
  // Takes a job out of its queue, at the front or anywhere. True where it was still in it.
  bool take(JobNumber number);
  bool taken(JobNumber number) const;
  // How many have not been taken, of one requirement and of all.
  std::uint64_t open(std::uint32_t requirement) const;
  std::uint64_t open() const;

 private:
  // Bits of flags_.
  static constexpr std::uint8_t kPastMask = 0x07;
  static constexpr std::uint8_t kTaken = 0x08;
  static constexpr std::uint8_t kDefaultId = 0x10;

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

  std::size_t place_of(std::uint64_t key_prefix) const;
  static std::uint8_t tag_of(std::uint64_t key_prefix);
  void grow_table(std::uint64_t jobs);
  void insert(std::uint32_t number);
  std::uint32_t requirement_of(std::uint64_t number) const;
  std::int32_t priority_of(std::uint64_t number) const;
  void sort_order();

  std::vector<Requirement> requirements_;
  std::unordered_map<Requirement, std::uint32_t, RequirementHash> numbers_;  // of requirements_

  // One element a job. Of the second group each is empty while it would say the same of every job.
  std::vector<std::uint64_t> key_prefixes_;
  std::vector<std::uint64_t> spec_prefixes_;
  std::vector<std::uint32_t> offsets_low_;  // 40 bits in two arrays
  std::vector<std::uint8_t> offsets_high_;
  std::vector<std::uint8_t> flags_;
  std::vector<std::uint32_t> repeats_;              // while no repeat is above 1: kDefaultId tells 0 from 1
  std::vector<std::uint32_t> requirement_numbers_;  // while all are 0
  std::vector<std::int32_t> priorities_;            // while all are 0

  std::vector<Gap> gaps_;
  // Open addressing, linear probing, at most 4/5 full: job numbers, and for each place a byte of its job's
  // prefix, 0 where it is empty, so that a probe reads on in one cache line instead of one of every job.
  std::vector<std::uint32_t> table_;
  std::vector<std::uint8_t> tags_;

  std::vector<std::uint32_t> order_;  // by requirement, priority (higher first), number; empty while that is
                                      // the order of the numbers
  std::vector<Queue> queues_;         // by requirement
  std::uint64_t open_ = 0;
};

}  // namespace workpool::dispatcher
