// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_table.h"

#include "common/base/check.h"

namespace workpool::dispatcher {

std::uint32_t JobTable::add() {
  std::uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(jobs_.size());
    CHECK(slot != ActiveJob::kNone);
    jobs_.emplace_back();
    lives_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  lives_[slot].used = true;
  return slot;
}

bool JobTable::set_key(std::uint32_t slot, const Key& key) {
  Life& life = lives_[slot];
  CHECK(life.used);
  if (!by_key_.insert(key, slot)) return false;
  if (life.keyed) by_key_.erase(jobs_[slot].facts.key);
  jobs_[slot].facts.key = key;
  life.keyed = true;
  return true;
}

void JobTable::remove(std::uint32_t slot) {
  Life& life = lives_[slot];
  CHECK(life.used);
  if (life.keyed) by_key_.erase(jobs_[slot].facts.key);
  ActiveJob& job = jobs_[slot];
  std::destroy_at(&job);
  std::construct_at(&job);
  life.used = life.keyed = false;
  ++life.queue_stamp;                               // whatever queue it stood in
  if (++life.generation == 0) life.generation = 1;  // 0 would make handle 0 possible
  free_.push_back(slot);
}

Handle JobTable::handle(std::uint32_t slot) const {
  return Handle{std::uint64_t{lives_[slot].generation} << 32 | slot};
}

std::optional<std::uint32_t> JobTable::find(Handle handle) const {
  const auto slot = static_cast<std::uint32_t>(handle.value);
  if (slot >= lives_.size()) return std::nullopt;
  if (!lives_[slot].used || lives_[slot].generation != handle.value >> 32) return std::nullopt;
  return slot;
}

}  // namespace workpool::dispatcher
