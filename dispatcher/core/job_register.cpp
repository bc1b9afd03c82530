// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_register.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {
namespace {

__extension__ typedef unsigned __int128 Wide;

// Room in the table for `ids` entries at 4/5 full: more makes probes long, less costs memory that nobody
// reads.
std::uint64_t table_places(std::uint64_t ids) { return ids + ids / 4 + 16; }

}  // namespace

template <typename Wanted>
std::size_t JobRegister::find_place(std::uint64_t key_prefix, const Wanted& wanted) const {
  if (tags_.empty()) return kNoPlace;
  const std::uint8_t tag = tag_of(key_prefix);
  std::size_t place = place_of(key_prefix);
  while (tags_[place] != 0) {
    if (tags_[place] == tag && key_prefixes_[table_[place]] == key_prefix && wanted(table_[place]))
      return place;
    if (++place == tags_.size()) place = 0;
  }
  return kNoPlace;
}

void JobRegister::reserve(std::uint64_t ids) {
  ids = std::min(ids, kIdsMax);
  key_prefixes_.reserve(ids);
  spec_prefixes_.reserve(ids);
  flags_.reserve(ids);
  if (table_places(ids) > table_.size()) grow_table(ids);
}

void JobRegister::add(const Id& id) {
  add(id, static_cast<std::uint8_t>(id.repeat == 0 ? kCame : kCame | kDefaultId));
}

void JobRegister::add(const Id& id, std::uint8_t flags) {
  if (!free_.empty()) {
    const std::uint32_t number = free_.back();
    free_.pop_back();
    key_prefixes_[number] = id.key_prefix;
    spec_prefixes_[number] = id.spec_prefix;
    flags_[number] = flags;
    return insert(number);
  }
  const std::uint64_t number = size();
  CHECK(number < kIdsMax);
  key_prefixes_.push_back(id.key_prefix);
  spec_prefixes_.push_back(id.spec_prefix);
  flags_.push_back(flags);
  if (id.repeat > 1 || !repeats_.empty()) {
    CHECK(id.repeat <= kIdsMax);
    if (repeats_.empty()) {
      repeats_.reserve(key_prefixes_.capacity());
      for (std::uint64_t i = 0; i < number; ++i) repeats_.push_back((flags_[i] & kDefaultId) != 0 ? 1 : 0);
    }
    repeats_.push_back(static_cast<std::uint32_t>(id.repeat));
  }
  if (table_places(number + 1) > table_.size()) {
    grow_table((number + 1) * 3 / 2);
  } else {
    insert(static_cast<std::uint32_t>(number));
  }
}

JobRegister::Id JobRegister::id(JobNumber number) const {
  CHECK(number < size());
  return {key_prefixes_[number], spec_prefixes_[number],
          !repeats_.empty()                    ? repeats_[number]
          : (flags_[number] & kDefaultId) != 0 ? 1U
                                               : 0U};
}

bool JobRegister::has_spec(JobNumber number, const Spec& spec) const {
  CHECK(number < size());
  return spec_prefixes_[number] == spec.high;
}

void JobRegister::set_past(JobNumber number, Past past) {
  CHECK(number < size());
  flags_[number] = static_cast<std::uint8_t>((flags_[number] & ~kPastMask) | static_cast<std::uint8_t>(past));
}

JobRegister::Past JobRegister::past(JobNumber number) const {
  CHECK(number < size());
  return static_cast<Past>(flags_[number] & kPastMask);
}

// ---- jobs that come one by one ----

void JobRegister::remember(const Key& key, const Spec& spec, Past past) {
  const std::size_t place =
      find_place(key.high, [&](std::uint32_t number) { return spec_prefixes_[number] == spec.high; });
  if (place != kNoPlace) return set_past(table_[place], past);
  add({key.high, spec.high, 0}, static_cast<std::uint8_t>(past));
}

std::optional<JobRegister::Past> JobRegister::admit(const Key& key, const Spec& spec, bool by_default) {
  if (find_place(key.high, [&](std::uint32_t number) { return (flags_[number] & kCame) != 0; }) != kNoPlace)
    return std::nullopt;
  const std::size_t place =
      find_place(key.high, [&](std::uint32_t number) { return spec_prefixes_[number] == spec.high; });
  if (place == kNoPlace) {
    add({key.high, spec.high, by_default ? 1U : 0U});
    return Past::kNone;
  }
  const std::uint32_t number = table_[place];
  flags_[number] = static_cast<std::uint8_t>(flags_[number] | kCame | (by_default ? kDefaultId : 0));
  return past(number);
}

JobRegister::Past JobRegister::remembered(const Key& key, const Spec& spec) const {
  const std::size_t place = find_place(key.high, [&](std::uint32_t number) {
    return (flags_[number] & kCame) == 0 && spec_prefixes_[number] == spec.high;
  });
  return place == kNoPlace ? Past::kNone : past(table_[place]);
}

void JobRegister::forget(const Key& key) {
  const std::size_t place =
      find_place(key.high, [&](std::uint32_t number) { return (flags_[number] & kCame) != 0; });
  if (place == kNoPlace) return;
  const std::uint32_t number = table_[place];
  erase_place(place);
  flags_[number] = kFree;
  free_.push_back(number);
}

bool JobRegister::admit_invalid(const Spec& digest) {
  const auto known = invalid_.find(digest.high);
  if (known == invalid_.end()) return false;
  if (--known->second == 0) invalid_.erase(known);
  return true;
}

std::uint64_t JobRegister::next_repeat(std::uint64_t first_key_prefix, std::uint64_t spec_prefix) {
  constexpr std::uint8_t kCameByDefault = kCame | kDefaultId;
  const std::size_t place = find_place(first_key_prefix, [&](std::uint32_t number) {
    return (flags_[number] & kCameByDefault) == kCameByDefault && spec_prefixes_[number] == spec_prefix;
  });
  // The first job of a spec is in no map, so that jobs without repeats cost nothing.
  return place == kNoPlace ? 1 : ++last_repeats_.try_emplace(spec_prefix, 1).first->second;
}

// ---- the table ----

// Prefixes are hashes, so their high bits spread evenly over any number of places.
std::size_t JobRegister::place_of(std::uint64_t key_prefix) const {
  return static_cast<std::size_t>(Wide{key_prefix} * table_.size() >> 64);
}

// Its low bits, which the place does not depend on; never 0.
std::uint8_t JobRegister::tag_of(std::uint64_t key_prefix) {
  return std::max<std::uint8_t>(1, static_cast<std::uint8_t>(key_prefix));
}

void JobRegister::grow_table(std::uint64_t ids) {
  table_ = {};  // the old one goes before the new one comes
  tags_ = {};
  table_.resize(table_places(ids));
  tags_.resize(table_.size());
  for (std::uint64_t number = 0; number < size(); ++number) {
    if ((flags_[number] & kFree) == 0) insert(static_cast<std::uint32_t>(number));
  }
}

void JobRegister::insert(std::uint32_t number) {
  const std::uint64_t key_prefix = key_prefixes_[number];
  std::size_t place = place_of(key_prefix);
  while (tags_[place] != 0) {
    if (++place == tags_.size()) place = 0;
  }
  tags_[place] = tag_of(key_prefix);
  table_[place] = number;
}

// Moves up what stands behind it, up to the next empty place, unless it would come before the place of its
// own.
void JobRegister::erase_place(std::size_t place) {
  const std::size_t places = tags_.size();
  for (std::size_t next = place_after(place); tags_[next] != 0; next = place_after(next)) {
    const std::size_t home = place_of(key_prefixes_[table_[next]]);
    if ((next + places - home) % places < (next + places - place) % places) continue;
    tags_[place] = tags_[next];
    table_[place] = table_[next];
    place = next;
  }
  tags_[place] = 0;
}

void JobRegister::expect(std::uint64_t key_prefix) const {
  if (tags_.empty()) return;
  const std::size_t place = place_of(key_prefix);
  __builtin_prefetch(&tags_[place], 1);
  __builtin_prefetch(&table_[place], 1);
}

std::optional<JobNumber> JobRegister::find_prefix(std::uint64_t key_prefix) const {
  const std::size_t place = find_place(key_prefix, [](std::uint32_t) { return true; });
  if (place == kNoPlace) return std::nullopt;
  return table_[place];
}

}  // namespace workpool::dispatcher
