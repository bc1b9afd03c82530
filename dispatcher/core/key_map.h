// SPDX-License-Identifier: MIT
// From a job's key to its row in the job table: open addressing with linear probing over digests that are
// random already, so a look-up costs a cache miss and no allocation. Deletion shifts back, so there are no
// tombstones. A place holds 32 bits of the key, and the row knows the rest: with whole keys the map of a few
// thousand jobs alone would fill half of a second-level cache.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"

namespace workpool::dispatcher {

class KeyMap {
 public:
  static constexpr std::uint32_t kFree = 0xffffffff;  // never a row

  // REQUIRES: find() has not found the key, and the row is not in the map.
  void insert(const Key& key, std::uint32_t row);
  // REQUIRES: the row was inserted with this key.
  void erase(const Key& key, std::uint32_t row);
  // `has_key(row)`: whether that row has the whole key.
  template <class HasKey>
  std::optional<std::uint32_t> find(const Key& key, const HasKey& has_key) const {
    if (places_.empty()) return std::nullopt;
    const std::uint32_t tag = tag_of(key);
    for (std::size_t at = home(tag); places_[at].row != kFree; at = next(at)) {
      if (places_[at].tag == tag && has_key(places_[at].row)) return places_[at].row;
    }
    return std::nullopt;
  }
  std::size_t size() const { return size_; }

 private:
  struct Place {
    std::uint32_t tag = 0;
    std::uint32_t row = kFree;
  };

  static std::uint32_t tag_of(const Key& key) { return static_cast<std::uint32_t>(key.low); }
  std::size_t home(std::uint32_t tag) const { return tag & (places_.size() - 1); }
  std::size_t next(std::size_t at) const { return (at + 1) & (places_.size() - 1); }
  void put(const Place& place);
  void grow();

  std::vector<Place> places_;  // a power of two, at most half full
  std::size_t size_ = 0;
};

}  // namespace workpool::dispatcher
