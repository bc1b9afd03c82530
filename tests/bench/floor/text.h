// SPDX-License-Identifier: MIT
// What bench_floor does with text: hashes, plain job lines, and digits.
#pragma once

#define XXH_INLINE_ALL
#include <emmintrin.h>
#include <xxhash.h>

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace workpool::bench {

struct Hash {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend bool operator==(const Hash&, const Hash&) = default;
};

inline Hash hash_of(std::string_view text) {
  const XXH128_hash_t hash = XXH3_128bits(text.data(), text.size());
  return {hash.high64, hash.low64};
}

// ---- digits: each writes to `to` and returns the end ----

inline char* put_text(char* to, std::string_view text) {
  std::memcpy(to, text.data(), text.size());
  return to + text.size();
}

// 16 hex digits, all at once.
inline char* put_hex(char* to, std::uint64_t value) {
  const __m128i bytes = _mm_cvtsi64_si128(std::bit_cast<std::int64_t>(__builtin_bswap64(value)));
  const __m128i mask = _mm_set1_epi8(15);
  const __m128i nibbles =
      _mm_unpacklo_epi8(_mm_and_si128(_mm_srli_epi16(bytes, 4), mask), _mm_and_si128(bytes, mask));
  const __m128i letters =
      _mm_and_si128(_mm_cmpgt_epi8(nibbles, _mm_set1_epi8(9)), _mm_set1_epi8('a' - '9' - 1));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm_add_epi8(_mm_add_epi8(nibbles, _mm_set1_epi8('0')), letters));
  return to + 16;
}

inline char* put_hash(char* to, const Hash& hash) { return put_hex(put_hex(to, hash.high), hash.low); }

inline char* put_decimal(char* to, std::uint64_t value) {
  char digits[20];
  int count = 0;
  do digits[count++] = static_cast<char>('0' + value % 10);
  while ((value /= 10) != 0);
  while (count > 0) *to++ = digits[--count];
  return to;
}

// Milliseconds with three decimals.
inline char* put_milliseconds(char* to, std::uint64_t microseconds) {
  to = put_decimal(to, microseconds / 1000);
  *to++ = '.';
  for (std::uint64_t part = microseconds % 1000, unit = 100; unit > 0; part %= unit, unit /= 10)
    *to++ = static_cast<char>('0' + part / unit);
  return to;
}

// ---- job lines ----

// Reads {"type":"…"} and {"type":"…","args":…} without white space, escapes or anything that is not ASCII;
// JSON that is not valid, or names a member twice, is refused. The jobs of the benchmark are all of this
// kind, so there is no other parser behind it.
class PlainLine {
 public:
  // Whether the line is a job. What it runs is then the line itself.
  static bool valid(std::string_view line) { return PlainLine(line).job(); }

 private:
  static constexpr int kDepthMost = 60;
  static constexpr int kKeysMost = 8;

  explicit PlainLine(std::string_view line) : at_(line.data()), end_(line.data() + line.size()) {}

  bool take(std::string_view text) {
    if (static_cast<std::size_t>(end_ - at_) < text.size()) return false;
    if (std::memcmp(at_, text.data(), text.size()) != 0) return false;
    at_ += text.size();
    return true;
  }

  bool job() {
    if (!take(R"({"type":)") || !string()) return false;
    if (take(R"(,"args":)") && !value(2)) return false;
    return take("}") && at_ == end_;
  }

  // From its opening quote to behind its closing one. It ends at the first quote, escape, control character
  // or byte of 128 and more; only a quote is good.
  bool string() {
    if (!take("\"")) return false;
    for (; end_ - at_ >= 16; at_ += 16) {
      const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at_));
      const __m128i ends = _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('"')),
                                        _mm_or_si128(_mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\')),
                                                     _mm_cmplt_epi8(bytes, _mm_set1_epi8(' '))));
      if (const int found = _mm_movemask_epi8(ends); found != 0) {
        at_ += std::countr_zero(static_cast<unsigned>(found));
        return take("\"");
      }
    }
    while (at_ != end_ && *at_ != '"' && *at_ != '\\' && static_cast<signed char>(*at_) >= ' ') ++at_;
    return take("\"");
  }

  // An integer; the benchmark has no others.
  bool number() {
    take("-");
    const char* first = at_;
    while (at_ != end_ && *at_ >= '0' && *at_ <= '9') ++at_;
    const auto digits = at_ - first;
    return digits > 0 && digits <= 18 && (digits == 1 || *first != '0');
  }

  bool object(int depth) {
    std::string_view keys[kKeysMost];
    int count = 0;
    if (take("}")) return true;
    do {
      const char* first = at_;
      if (count == kKeysMost || !string()) return false;
      const std::string_view key(first, static_cast<std::size_t>(at_ - first));
      for (int i = 0; i < count; ++i) {
        if (keys[i] == key) return false;
      }
      keys[count++] = key;
      if (!take(":") || !value(depth + 1)) return false;
    } while (take(","));
    return take("}");
  }

  bool array(int depth) {
    if (take("]")) return true;
    do {
      if (!value(depth + 1)) return false;
    } while (take(","));
    return take("]");
  }

  bool value(int depth) {
    if (at_ == end_ || depth > kDepthMost) return false;
    switch (*at_) {
      case '"':
        return string();
      case '{':
        ++at_;
        return object(depth);
      case '[':
        ++at_;
        return array(depth);
      case 't':
        return take("true");
      case 'f':
        return take("false");
      case 'n':
        return take("null");
      default:
        return number();
    }
  }

  const char* at_;
  const char* const end_;
};

}  // namespace workpool::bench
