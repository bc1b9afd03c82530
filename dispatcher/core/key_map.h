// SPDX-License-Identifier: MIT
// From a job's key to its row in the job table: open addressing with linear probing over digests that are
// random already, so a look-up costs a cache miss and no allocation. Deletion shifts back, so there are no
// tombstones.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ids.h"

namespace workpool::dispatcher {

class KeyMap {
 public:
  static constexpr std::uint32_t kFree = 0xffffffff;  // never a row

  bool insert(const Key& key, std::uint32_t row);  // false, and nothing done, if the key is in the map
  void erase(const Key& key);                      // no effect if it is not
  std::optional<std::uint32_t> find(const Key& key) const;
  std::size_t size() const { return size_; }

 private:
  struct Place {
    Key key;
    std::uint32_t row = kFree;
  };

  std::size_t home(const Key& key) const { return key.low & (places_.size() - 1); }
  void grow();

  std::vector<Place> places_;  // a power of two, at most half full
  std::size_t size_ = 0;
};

}  // namespace workpool::dispatcher
