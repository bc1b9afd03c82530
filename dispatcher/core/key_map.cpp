// SPDX-License-Identifier: MIT
#include "dispatcher/core/key_map.h"

#include <utility>

#include "common/base/check.h"

namespace workpool::dispatcher {

void KeyMap::put(const Place& place) {
  std::size_t at = home(place.tag);
  while (places_[at].row != kFree) at = next(at);
  places_[at] = place;
}

void KeyMap::grow() {
  const std::vector<Place> old = std::move(places_);
  places_.assign(old.empty() ? 64 : old.size() * 2, Place{});
  for (const Place& place : old) {
    if (place.row != kFree) put(place);
  }
}

void KeyMap::insert(const Key& key, std::uint32_t row) {
  CHECK(row != kFree);
  if ((size_ + 1) * 2 > places_.size()) grow();
  put({tag_of(key), row});
  ++size_;
}

void KeyMap::erase(const Key& key, std::uint32_t row) {
  CHECK(size_ > 0);
  std::size_t hole = home(tag_of(key));
  while (places_[hole].row != row) {
    CHECK(places_[hole].row != kFree);
    hole = next(hole);
  }
  --size_;
  // Whoever was pushed past the hole by a collision moves back into it.
  const std::size_t mask = places_.size() - 1;
  for (std::size_t at = next(hole); places_[at].row != kFree; at = next(at)) {
    const std::size_t distance_home = (at - home(places_[at].tag)) & mask;
    const std::size_t distance_hole = (at - hole) & mask;
    if (distance_home >= distance_hole) {
      places_[hole] = places_[at];
      hole = at;
    }
  }
  places_[hole] = Place{};
}

}  // namespace workpool::dispatcher
