// SPDX-License-Identifier: MIT
// The ids of a run, about 23 bytes each: which have come, with which work, and what the results file says of
// them. Every source of jobs has its ids here, so an id means one job, whatever source it comes from. An id
// has a number: in a backlog that of its job. Pure data; used by one thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/base/ids.h"
#include "dispatcher/core/job_facts.h"

namespace workpool::dispatcher {

class JobRegister {
 public:
  struct Id {
    std::uint64_t key_prefix = 0;   // Key::high
    std::uint64_t spec_prefix = 0;  // Spec::high
    std::uint64_t repeat = 0;       // 0 if the id was given; of a default id 1, 2 …
  };

  // What the results file says of a job.
  enum class Past : std::uint8_t { kNone, kOk, kFailed, kTimeout, kQuarantined };

  // Numbers have 32 bits, and so have repeats.
  static constexpr std::uint64_t kIdsMax = 0xffff'fffe;

  // Room for that many ids without moving anything; memory that is never used is never touched, but for the
  // table.
  void reserve(std::uint64_t ids);
  // Prefetches what find_prefix() and add() of this key will touch: a cache miss costs as much as the rest of
  // add().
  void expect(std::uint64_t key_prefix) const;

  // ---- a backlog: all of its ids come before anything else, in order of their numbers ----

  // Adds an id that has come; its number is the size before. REQUIRES: size() < kIdsMax.
  void add(const Id& id);
  std::uint64_t size() const { return key_prefixes_.size(); }
  Id id(JobNumber number) const;
  // The first id added with this key prefix.
  std::optional<JobNumber> find_prefix(std::uint64_t key_prefix) const;
  std::optional<JobNumber> find(const Key& key) const { return find_prefix(key.high); }
  bool has_spec(JobNumber number, const Spec& spec) const;
  // The last line of a job in the results file counts, so a later call replaces an earlier one.
  void set_past(JobNumber number, Past past);
  Past past(JobNumber number) const;

  // ---- jobs that come one by one ----

  // What the results file holds of an id that has not come yet. For each work of an id the last line counts.
  void remember(const Key& key, const Spec& spec, Past past);
  // The past of a job that comes now; nullopt if its id has come before, with any work. `by_default`: it was
  // given none.
  std::optional<Past> admit(const Key& key, const Spec& spec, bool by_default);
  // What the results file holds of this work under an id that has not come.
  Past remembered(const Key& key, const Spec& spec) const;
  // An id that was admitted may come again.
  void forget(const Key& key);

  // ---- lines that come and are no jobs; `digest`: of the text ----

  // The results file holds such a line, or one more of the same text.
  void remember_invalid(const Spec& digest) { ++invalid_[digest.high]; }
  // Returns whether the results file holds the line that comes now. It may hold less of them than come.
  bool admit_invalid(const Spec& digest);

  // ---- both ----

  // The repeat of the next job of this spec without an id: 1, or after others that have come 2, 3 …
  // `first_key_prefix`: of the default id with repeat 1.
  std::uint64_t next_repeat(std::uint64_t first_key_prefix, std::uint64_t spec_prefix);

 private:
  // Bits of flags_.
  static constexpr std::uint8_t kPastMask = 0x07;
  static constexpr std::uint8_t kCame = 0x08;  // false: only known from the results file
  static constexpr std::uint8_t kDefaultId = 0x10;
  static constexpr std::uint8_t kFree = 0x20;

  static constexpr std::size_t kNoPlace = ~std::size_t{0};

  std::size_t place_of(std::uint64_t key_prefix) const;
  static std::uint8_t tag_of(std::uint64_t key_prefix);
  std::size_t place_after(std::size_t place) const { return place + 1 == tags_.size() ? 0 : place + 1; }
  // The place of the first id with this key prefix for which `wanted(number)` holds; kNoPlace if there is
  // none.
  template <typename Wanted>
  std::size_t find_place(std::uint64_t key_prefix, const Wanted& wanted) const;
  void grow_table(std::uint64_t ids);
  void insert(std::uint32_t number);
  void erase_place(std::size_t place);
  void add(const Id& id, std::uint8_t flags);

  // One element per id.
  std::vector<std::uint64_t> key_prefixes_;
  std::vector<std::uint64_t> spec_prefixes_;
  std::vector<std::uint8_t> flags_;
  std::vector<std::uint32_t> repeats_;  // empty while no repeat is above 1: kDefaultId tells 0 from 1
  std::vector<std::uint32_t> free_;     // numbers of ids that were forgotten

  // Open addressing, linear probing, at most 4/5 full: numbers, and for each place a byte of its id's prefix,
  // 0 if it is empty, so that a probe reads on in one cache line instead of one of every id.
  std::vector<std::uint32_t> table_;
  std::vector<std::uint8_t> tags_;

  std::unordered_map<std::uint64_t, std::uint64_t> last_repeats_;  // by spec prefix, of those that came twice
  std::unordered_map<std::uint64_t, std::uint64_t> invalid_;       // by digest prefix, of those not come yet
};

}  // namespace workpool::dispatcher
