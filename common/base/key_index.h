// SPDX-License-Identifier: MIT
// Finds the rows of a table by the key of their job: of open jobs in the dispatcher, of attempts in a worker.
// A key may have several rows. Open addressing with linear probing over keys, which are digests and so random
// already; removing moves entries back, so there are no tombstones. An entry holds 32 bits of its key, and
// the row knows the rest: with whole keys the index of a few thousand jobs would fill half of a second-level
// cache. Nothing is allocated per job once it has grown. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/ids.h"

namespace workpool {

class KeyIndex {
 public:
  static constexpr std::uint32_t kFree = ~std::uint32_t{0};  // never a row

  void add(const Key& key, std::uint32_t row);
  // REQUIRES: it was added.
  void remove(const Key& key, std::uint32_t row);
  // Calls `visit` with each row whose key may be `key` (half of its bits are compared) until that returns
  // true.
  template <class Visit>
  void any(const Key& key, Visit&& visit) const {
    if (entries_.empty()) return;
    const std::uint32_t tag = tag_of(key);
    for (std::size_t at = home(tag); entries_[at].row != kFree; at = next(at)) {
      if (entries_[at].tag == tag && visit(entries_[at].row)) return;
    }
  }

  std::size_t size() const { return used_; }

 private:
  struct Entry {
    std::uint32_t row = kFree;
    std::uint32_t tag = 0;
  };

  // Keys are hashes already.
  static std::uint32_t tag_of(const Key& key) {
    return static_cast<std::uint32_t>(key.low ^ (key.low >> 32));
  }
  std::size_t home(std::uint32_t tag) const { return tag & (entries_.size() - 1); }
  std::size_t next(std::size_t at) const { return (at + 1) & (entries_.size() - 1); }
  void put(Entry entry);
  void grow();

  std::vector<Entry> entries_;  // a power of two, at most half full; a search ends at a free one
  std::size_t used_ = 0;
};

}  // namespace workpool
