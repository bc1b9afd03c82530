// SPDX-License-Identifier: MIT
// What both decoders read with: numbers within their limits, lists, texts, and the beginning of every frame.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "common/base/time.h"
#include "common/wire/messages.h"
#include "common/wire/wire_reader.h"

namespace workpool::wire {

inline constexpr std::size_t kTextMost = 8 * 1024;
// Far above any real duration, and small enough that sums and small multiples never overflow.
inline constexpr std::uint64_t kDurationMost = 100ull * 366 * 24 * 3600 * 1'000'000;  // a hundred years
inline constexpr std::uint64_t kSlotsMost = 1 << 20;

inline std::uint64_t read_up_to(WireReader& from, std::uint64_t most) {
  const std::uint64_t value = from.number();
  if (value > most) from.fail();
  return from.ok() ? value : 0;
}

inline std::uint32_t read_u32(WireReader& from, std::uint64_t most = 0xffffffff) {
  return static_cast<std::uint32_t>(read_up_to(from, most));
}

inline Duration read_duration(WireReader& from) {
  return Duration{static_cast<Duration::rep>(read_up_to(from, kDurationMost))};
}

// The length of an item's array. It may have more fields than we know, but fails if it has fewer than
// `least`.
inline std::uint32_t read_fields(WireReader& from, std::uint32_t least) {
  const std::uint32_t fields = from.array();
  if (fields < least) from.fail();
  return fields;
}

inline void skip_rest(WireReader& from, std::uint32_t fields, std::uint32_t known) {
  for (std::uint32_t i = known; from.ok() && i < fields; ++i) from.skip();
}

// Reads a list. The frame bounds its length, the reader bounds each item.
// `read`: returns an item, or fills a large one in its place.
template <class Item, class Read>
std::vector<Item> read_list(WireReader& from, Read read) {
  std::vector<Item> items;
  const std::uint32_t count = from.array();
  items.reserve(std::min<std::uint32_t>(count, 4096));
  for (std::uint32_t i = 0; from.ok() && i < count; ++i) {
    if constexpr (std::is_invocable_v<Read, WireReader&, Item&>) {
      read(from, items.emplace_back());
    } else {
      items.push_back(read(from));
    }
  }
  return items;
}

inline std::vector<std::string> read_texts(WireReader& from) {
  return read_list<std::string>(from, [](WireReader& r) { return std::string(r.bytes(kTextMost)); });
}

struct Opened {
  std::uint32_t type = 0;
  std::uint32_t fields = 0;  // after the header
  Header header;
};

inline Opened open_frame(WireReader& from) {
  Opened opened;
  const std::uint32_t fields = read_fields(from, 4);
  opened.type = read_u32(from);
  opened.header.run.value = from.number();
  opened.header.session.value = from.number();
  opened.header.seq = from.number();
  opened.fields = from.ok() ? fields - 4 : 0;
  return opened;
}

}  // namespace workpool::wire
