// SPDX-License-Identifier: MIT
#include "dispatcher/core/key_map.h"

#include "common/base/check.h"

namespace workpool::dispatcher {

void KeyMap::grow() {
  std::vector<Place> old = std::move(places_);
  places_.assign(old.empty() ? 64 : old.size() * 2, Place{});
  size_ = 0;
  for (const Place& place : old) {
    if (place.row != kFree) insert(place.key, place.row);
  }
}

bool KeyMap::insert(const Key& key, std::uint32_t row) {
  CHECK(row != kFree);
  if ((size_ + 1) * 2 > places_.size()) grow();
  std::size_t at = home(key);
  while (places_[at].row != kFree) {
    if (places_[at].key == key) return false;
    at = (at + 1) & (places_.size() - 1);
  }
  places_[at] = {key, row};
  ++size_;
  return true;
}

std::optional<std::uint32_t> KeyMap::find(const Key& key) const {
  if (places_.empty()) return std::nullopt;
  for (std::size_t at = home(key); places_[at].row != kFree; at = (at + 1) & (places_.size() - 1)) {
    if (places_[at].key == key) return places_[at].row;
  }
  return std::nullopt;
}

void KeyMap::erase(const Key& key) {
  if (places_.empty()) return;
  const std::size_t mask = places_.size() - 1;
  std::size_t hole = home(key);
  while (places_[hole].row != kFree && places_[hole].key != key) hole = (hole + 1) & mask;
  if (places_[hole].row == kFree) return;
  --size_;
  // Whoever was pushed past the hole by a collision moves back into it.
  for (std::size_t at = (hole + 1) & mask; places_[at].row != kFree; at = (at + 1) & mask) {
    const std::size_t distance_home = (at - home(places_[at].key)) & mask;
    const std::size_t distance_hole = (at - hole) & mask;
    if (distance_home >= distance_hole) {
      places_[hole] = places_[at];
      hole = at;
    }
  }
  places_[hole] = Place{};
}

}  // namespace workpool::dispatcher
