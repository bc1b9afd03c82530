// SPDX-License-Identifier: MIT
// Reads msgpack (github.com/msgpack/msgpack/blob/master/spec.md) from a frame as a cursor: no allocation, no
// recursion but in skip(), every length checked against what is left. The first thing that does not fit makes
// it fail for good; values read afterwards are zero. Written by hand since decoding a job through objects
// costs three times as much.
#pragma once

#include <cstdint>
#include <string_view>

namespace workpool {

class WireReader {
 public:
  explicit WireReader(std::string_view frame)
      : next_(reinterpret_cast<const unsigned char*>(frame.data())), end_(next_ + frame.size()) {}

  bool ok() const { return ok_; }
  // All of the frame has been read, and all of it fitted.
  bool finished() const { return ok_ && next_ == end_; }
  void fail() { ok_ = false; }

  std::uint32_t array();   // its length; elements follow
  std::uint64_t number();  // a non-negative integer
  std::int64_t integer();
  bool boolean();
  bool nil();  // true, and past it, where nil stands next
  bool next_is_number() const;
  // bin or str of at most `most` bytes; points into the frame.
  std::string_view bytes(std::size_t most);
  void skip(int depth = 8);  // one value of any kind

 private:
  bool take(std::size_t count);
  std::uint64_t big_endian(std::size_t count);
  std::uint8_t peek() const { return next_ < end_ ? *next_ : 0xc1; }  // 0xc1 is never used by msgpack

  const unsigned char* next_;
  const unsigned char* end_;
  bool ok_ = true;
};

}  // namespace workpool
