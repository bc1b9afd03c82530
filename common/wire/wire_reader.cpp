// SPDX-License-Identifier: MIT
#include "common/wire/wire_reader.h"

namespace workpool {

std::uint32_t WireReader::array() {
  const std::uint8_t type = peek();
  if ((type & 0xf0) == 0x90) {
    take(1);
    return ok_ ? type & 0x0fu : 0;
  }
  if ((type == 0xdc || type == 0xdd) && take(1)) {
    const std::uint64_t count = big_endian(type == 0xdc ? 2 : 4);
    // Every element takes at least one byte, so a length beyond the frame is refused before anyone uses it.
    if (ok_ && count <= static_cast<std::size_t>(end_ - next_)) return static_cast<std::uint32_t>(count);
  }
  ok_ = false;
  return 0;
}

bool WireReader::next_is_number() const {
  const std::uint8_t type = peek();
  return type <= 0x7f || (type >= 0xcc && type <= 0xcf);
}

bool WireReader::next_is_array() const {
  const std::uint8_t type = peek();
  return (type & 0xf0) == 0x90 || type == 0xdc || type == 0xdd;
}

std::int64_t WireReader::integer() {
  const std::uint8_t type = peek();
  if (type >= 0xe0 && take(1)) return static_cast<std::int8_t>(type);
  if (type >= 0xd0 && type <= 0xd3 && take(1)) {
    const std::size_t count = std::size_t{1} << (type - 0xd0);
    const std::uint64_t value = big_endian(count);
    const int unused = static_cast<int>(64 - 8 * count);
    return static_cast<std::int64_t>(value << unused) >> unused;
  }
  const std::uint64_t value = number();
  if (value > INT64_MAX) ok_ = false;
  return ok_ ? static_cast<std::int64_t>(value) : 0;
}

bool WireReader::boolean() {
  const std::uint8_t type = peek();
  if ((type == 0xc2 || type == 0xc3) && take(1)) return type == 0xc3;
  ok_ = false;
  return false;
}

bool WireReader::nil() { return ok_ && peek() == 0xc0 && take(1); }

void WireReader::skip(int depth) {
  const std::uint8_t type = peek();
  if (depth <= 0 || next_ >= end_) {
    ok_ = false;
  } else if ((type & 0xf0) == 0x90 || type == 0xdc || type == 0xdd) {
    const std::uint32_t count = array();
    for (std::uint32_t i = 0; ok_ && i < count; ++i) skip(depth - 1);
  } else if (type == 0xc0 || type == 0xc2 || type == 0xc3 || type <= 0x7f || type >= 0xe0) {
    take(1);
  } else if (type >= 0xcc && type <= 0xd3) {
    take(1 + (std::size_t{1} << (type & 3)));
  } else if (type == 0xca || type == 0xcb) {
    take(type == 0xca ? 5 : 9);
  } else {
    bytes(SIZE_MAX);  // refuses maps and extensions, which the protocol does not use
  }
}

}  // namespace workpool
