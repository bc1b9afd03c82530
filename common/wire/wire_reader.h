// SPDX-License-Identifier: MIT
// A cursor that reads msgpack (https://github.com/msgpack/msgpack/blob/master/spec.md) from a frame. It
// allocates nothing, recurses only in skip(), and checks every length against what is left. After the first
// thing that does not fit it stays failed and returns zeros. Written by hand, since decoding a job through
// msgpack's objects takes three times as long.
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

namespace workpool {

// The big endian number in the eight bytes at `from`.
inline std::uint64_t big_endian_64(const void* from) {
  std::uint64_t value = 0;
  std::memcpy(&value, from, sizeof value);
  return __builtin_bswap64(value);
}

class WireReader {
 public:
  explicit WireReader(std::string_view frame)
      : frame_(frame),
        next_(reinterpret_cast<const unsigned char*>(frame.data())),
        end_(next_ + frame.size()) {}

  bool ok() const { return ok_; }
  // All of the frame has been read, and all of it fitted.
  bool finished() const { return ok_ && next_ == end_; }
  void fail() { ok_ = false; }
  std::string_view frame() const { return frame_; }

  std::uint32_t array();   // its length; elements follow
  std::uint64_t number();  // a non-negative integer
  std::int64_t integer();
  bool boolean();
  bool nil();  // true if nil stands next, which is then skipped
  bool next_is_number() const;
  bool next_is_array() const;
  // bin or str of at most `most` bytes; points into the frame.
  std::string_view bytes(std::size_t most);
  void skip(int depth = 8);  // one value of any kind

 private:
  bool take(std::size_t count);
  std::uint64_t big_endian(std::size_t count);
  std::uint8_t peek() const { return next_ < end_ ? *next_ : 0xc1; }  // 0xc1 is never used by msgpack

  const std::string_view frame_;
  const unsigned char* next_;
  const unsigned char* end_;
  bool ok_ = true;
};

// ---- used for every item of a list: inline, or the calls would cost more than the reading ----

inline bool WireReader::take(std::size_t count) {
  if (!ok_ || static_cast<std::size_t>(end_ - next_) < count) {
    ok_ = false;
    return false;
  }
  next_ += count;
  return true;
}

inline std::uint64_t WireReader::big_endian(std::size_t count) {
  if (!take(count)) return 0;
  if (count == sizeof(std::uint64_t)) return big_endian_64(next_ - count);
  std::uint64_t value = 0;
  for (const unsigned char* at = next_ - count; at != next_; ++at) value = value << 8 | *at;
  return value;
}

inline std::uint64_t WireReader::number() {
  const std::uint8_t type = peek();
  if (type <= 0x7f) {
    take(1);
    return ok_ ? type : 0;
  }
  if (type >= 0xcc && type <= 0xcf && take(1)) return big_endian(std::size_t{1} << (type - 0xcc));
  ok_ = false;
  return 0;
}

inline std::string_view WireReader::bytes(std::size_t most) {
  const std::uint8_t type = peek();
  std::uint64_t size = 0;
  if ((type & 0xe0) == 0xa0) {
    take(1);
    size = type & 0x1f;
  } else if (type >= 0xc4 && type <= 0xc6 && take(1)) {
    size = big_endian(std::size_t{1} << (type - 0xc4));
  } else if (type >= 0xd9 && type <= 0xdb && take(1)) {
    size = big_endian(std::size_t{1} << (type - 0xd9));
  } else {
    ok_ = false;
  }
  if (size > most) ok_ = false;
  if (!take(size)) return {};
  return {reinterpret_cast<const char*>(next_ - size), size};
}

}  // namespace workpool
