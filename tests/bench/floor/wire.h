// SPDX-License-Identifier: MIT
// The messages of bench_floor, in the parts of msgpack that workpool uses.
//
//   JOBS     [ack, [[handle, attempt, id, key, spec, work, timeout, slots]...]]   no jobs: the worker ends
//   RESULTS  [[handle, key, spec, attempt, waited, ran]...]                       microseconds
#pragma once

#include <cstdint>
#include <cstring>
#include <string_view>

#include "tests/bench/floor/text.h"

namespace workpool::bench {

inline constexpr std::size_t kJobsAMessage = 256;
inline constexpr std::size_t kOrderMembers = 8;
inline constexpr std::size_t kResultMembers = 6;
inline constexpr std::size_t kResultBytesMost = 80;  // of one result; with a head of 3 a message
inline constexpr std::size_t kJobsHeadBytesMost = 13;
inline constexpr std::size_t kOrderHeadBytes = 11;  // list, handle and attempt

// ---- writing: each returns the end ----

inline char* put_big(char* to, std::uint64_t value) {
  value = __builtin_bswap64(value);
  std::memcpy(to, &value, sizeof value);
  return to + sizeof value;
}

inline char* put_list(char* to, std::size_t members) {
  if (members < 16) {
    *to++ = static_cast<char>(0x90 | members);
    return to;
  }
  *to++ = static_cast<char>(0xdc);
  *to++ = static_cast<char>(members >> 8);
  *to++ = static_cast<char>(members);
  return to;
}

inline char* put_wide_number(char* to, std::uint64_t value) {
  *to++ = static_cast<char>(0xcf);
  return put_big(to, value);
}

inline char* put_number(char* to, std::uint64_t value) {
  if (value >= 0x10000) return put_wide_number(to, value);
  if (value >= 0x80) {
    *to++ = static_cast<char>(0xcd);
    *to++ = static_cast<char>(value >> 8);
  }
  *to++ = static_cast<char>(value);
  return to;
}

inline char* put_bytes_head(char* to, std::size_t size) {
  *to++ = static_cast<char>(size < 0x100 ? 0xc4 : 0xc5);
  if (size >= 0x100) *to++ = static_cast<char>(size >> 8);
  *to++ = static_cast<char>(size);
  return to;
}

inline char* put_bytes(char* to, std::string_view bytes) {
  return put_text(put_bytes_head(to, bytes.size()), bytes);
}

inline char* put_key(char* to, const Hash& hash) {
  return put_big(put_big(put_bytes_head(to, 16), hash.high), hash.low);
}

// ---- reading ----

// Reads a message from begin to end. What is not as expected makes it bad, and then everything reads as zero.
class Cursor {
 public:
  explicit Cursor(std::string_view message) : at_(message.data()), end_(message.data() + message.size()) {}

  bool good() const { return good_; }

  std::uint64_t number() {
    const std::uint8_t head = byte();
    if (head < 0x80) return head;
    if (head == 0xcd) return big(2);
    if (head == 0xcf) return big(8);
    return fail();
  }
  std::size_t list() {
    const std::uint8_t head = byte();
    if (head >> 4 == 9) return head & 15;
    return head == 0xdc ? big(2) : fail();
  }
  void nil() {
    if (byte() != 0xc0) fail();
  }
  std::string_view bytes() {
    const std::uint8_t head = byte();
    const std::size_t size = head == 0xc4 ? big(1) : head == 0xc5 ? big(2) : fail();
    if (!has(size)) return {};
    at_ += size;
    return {at_ - size, size};
  }
  Hash key() {
    if (byte() != 0xc4 || byte() != 16) fail();
    const std::uint64_t high = big(8);
    return {high, big(8)};
  }

 private:
  std::size_t fail() {
    good_ = false;
    at_ = end_;
    return 0;
  }
  bool has(std::size_t size) { return static_cast<std::size_t>(end_ - at_) >= size || fail() != 0; }
  std::uint8_t byte() { return has(1) ? static_cast<std::uint8_t>(*at_++) : 0; }
  std::uint64_t big(std::size_t size) {
    if (!has(size)) return 0;
    std::uint64_t value = 0;
    std::memcpy(&value, at_, size == 8 ? 8 : size);
    at_ += size;
    return __builtin_bswap64(value) >> (64 - 8 * size);
  }

  const char* at_;
  const char* const end_;
  bool good_ = true;
};

}  // namespace workpool::bench
