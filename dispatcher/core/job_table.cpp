// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_table.h"

#include "common/base/check.h"

namespace workpool::dispatcher {

JobRow JobTable::add() {
  JobRow row = 0;
  if (free_.empty()) {
    row = rows();
    CHECK(row != KeyIndex::kFree);
    if (row % kChunk == 0) chunks_.push_back(std::make_unique<ActiveJob[]>(kChunk));
    lives_.emplace_back();
  } else {
    row = free_.back();
    free_.pop_back();
  }
  lives_[row].used = true;
  return row;
}

bool JobTable::set_key(JobRow row, const Key& key) {
  Life& life = lives_[row];
  CHECK(life.used);
  if (find(key)) return false;
  if (life.keyed) by_key_.remove(at(row).facts.key, row);
  by_key_.add(key, row);
  at(row).facts.key = key;
  life.keyed = true;
  return true;
}

void JobTable::remove(JobRow row) {
  Life& life = lives_[row];
  CHECK(life.used);
  if (life.keyed) by_key_.remove(at(row).facts.key, row);
  ActiveJob& job = at(row);
  std::destroy_at(&job);
  std::construct_at(&job);
  life.used = life.keyed = false;
  ++life.queue_stamp;                               // whatever queue it stood in
  if (++life.generation == 0) life.generation = 1;  // 0 would make handle 0 possible
  free_.push_back(row);
}

Handle JobTable::handle(JobRow row) const {
  return Handle{std::uint64_t{lives_[row].generation} << 32 | row};
}

std::optional<JobRow> JobTable::find(Handle handle) const {
  const auto row = static_cast<JobRow>(handle.value);
  if (row >= lives_.size()) return std::nullopt;
  if (!lives_[row].used || lives_[row].generation != handle.value >> 32) return std::nullopt;
  return row;
}

}  // namespace workpool::dispatcher
