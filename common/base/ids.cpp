// SPDX-License-Identifier: MIT
#include "common/base/ids.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <charconv>
#include <iterator>

#include "common/base/digits.h"

namespace workpool {
namespace {

bool digit_value(char digit, std::uint64_t& value) {
  if (digit >= '0' && digit <= '9') {
    value = static_cast<std::uint64_t>(digit - '0');
    return true;
  }
  if (digit >= 'a' && digit <= 'f') {
    value = static_cast<std::uint64_t>(digit - 'a') + 10;
    return true;
  }
  return false;
}

bool parse_digits(const char* text, std::uint64_t& value) {
  value = 0;
  for (int i = 0; i < 16; ++i) {
    std::uint64_t digit = 0;
    if (!digit_value(text[i], digit)) return false;
    value = value << 4 | digit;
  }
  return true;
}

constexpr std::size_t kSpecDigits = 32;

void write_hash(char* to, const Hash128& hash) {
  write_hex<8>(to, hash.high);
  write_hex<8>(to + kSpecDigits / 2, hash.low);
}

constexpr std::size_t kDefaultIdMost = kSpecDigits + 1 + 20;  // with the digits of any 64 bit number

// Returns how long it is.
std::size_t write_default_id(char* to, const Spec& spec, std::uint64_t repeat) {
  write_hash(to, spec);
  if (repeat <= 1) return kSpecDigits;
  to[kSpecDigits] = '#';
  return static_cast<std::size_t>(std::to_chars(to + kSpecDigits + 1, to + kDefaultIdMost, repeat).ptr - to);
}

}  // namespace

Hash128 hash128(const void* data, std::size_t size) {
  const XXH128_hash_t digest = XXH3_128bits(data, size);
  return {digest.high64, digest.low64};  // xxhash's canonical form writes high64 first, big endian
}

Key key_of_id(std::string_view id) { return Key{hash128(id.data(), id.size())}; }

Spec spec_of_work(std::string_view work) { return Spec{hash128(work.data(), work.size())}; }

std::string default_id(const Spec& spec, std::uint64_t repeat) {
  char text[kDefaultIdMost];
  return {text, write_default_id(text, spec, repeat)};
}

Key key_of_default_id(const Spec& spec, std::uint64_t repeat) {
  char text[kDefaultIdMost];
  return key_of_id({text, write_default_id(text, spec, repeat)});
}

std::string hex(const Hash128& hash) {
  std::string out(kSpecDigits, '\0');
  write_hash(out.data(), hash);
  return out;
}

std::string hex64(std::uint64_t value) {
  std::string out(16, '\0');
  write_hex<8>(out.data(), value);
  return out;
}

bool parse_hex64(const std::string& text, std::uint64_t& value) {
  return text.size() == 16 && parse_digits(text.data(), value);
}

}  // namespace workpool
