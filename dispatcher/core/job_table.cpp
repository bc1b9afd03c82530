// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_table.h"

#include "common/check.h"

namespace workpool::dispatcher {

std::uint32_t JobTable::add() {
  std::uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(places_.size());
    CHECK(slot != ActiveJob::kNone);
    places_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  places_[slot].used = true;
  return slot;
}

void JobTable::set_key(std::uint32_t slot, const Key& key) {
  Place& place = places_[slot];
  CHECK(place.used);
  if (place.keyed) by_key_.erase(place.job.facts.key);
  place.job.facts.key = key;
  place.keyed = true;
  by_key_.insert(key, slot);
}

void JobTable::remove(std::uint32_t slot) {
  Place& place = places_[slot];
  CHECK(place.used);
  if (place.keyed) by_key_.erase(place.job.facts.key);
  place.job = ActiveJob{};
  place.used = place.keyed = false;
  if (++place.generation == 0) place.generation = 1;  // 0 would make handle 0 possible
  free_.push_back(slot);
}

Handle JobTable::handle(std::uint32_t slot) const {
  return Handle{std::uint64_t{places_[slot].generation} << 32 | slot};
}

std::optional<std::uint32_t> JobTable::find(Handle handle) const {
  const auto slot = static_cast<std::uint32_t>(handle.value);
  if (slot >= places_.size()) return std::nullopt;
  const Place& place = places_[slot];
  if (!place.used || place.generation != handle.value >> 32) return std::nullopt;
  return slot;
}

}  // namespace workpool::dispatcher
