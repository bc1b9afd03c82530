// SPDX-License-Identifier: MIT
#include "common/base/key_index.h"

#include <utility>

#include "common/base/check.h"

namespace workpool {
namespace {

constexpr std::size_t kEntriesLeast = 64;

}  // namespace

void KeyIndex::put(Entry entry) {
  std::size_t at = home(entry.tag);
  while (entries_[at].row != kFree) at = next(at);
  entries_[at] = entry;
}

void KeyIndex::grow() {
  const std::vector<Entry> old = std::exchange(
      entries_, std::vector<Entry>(entries_.empty() ? kEntriesLeast : entries_.size() * 2, Entry{}));
  for (const Entry& entry : old) {
    if (entry.row != kFree) put(entry);
  }
}

void KeyIndex::add(const Key& key, std::uint32_t row) {
  if (2 * (used_ + 1) > entries_.size()) grow();
  put({row, tag_of(key)});
  ++used_;
}

void KeyIndex::remove(const Key& key, std::uint32_t row) {
  CHECK(used_ > 0);
  std::size_t hole = home(tag_of(key));
  while (entries_[hole].row != row) {
    CHECK(entries_[hole].row != kFree);
    hole = next(hole);
  }
  // What follows moves up unless that would put it before its home, so that no search stops too early.
  for (std::size_t at = next(hole); entries_[at].row != kFree; at = next(at)) {
    const std::size_t mask = entries_.size() - 1;
    const std::size_t distance = (at - home(entries_[at].tag)) & mask;
    if (distance >= ((at - hole) & mask)) {
      entries_[hole] = entries_[at];
      hole = at;
    }
  }
  entries_[hole] = Entry{};
  --used_;
}

}  // namespace workpool
