// SPDX-License-Identifier: MIT
#include "common/base/text.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "common/base/byte_spans.h"

namespace workpool {
namespace {

constexpr char kHexDigits[] = "0123456789abcdef";

unsigned char byte_at(std::string_view bytes, std::size_t at) {
  return static_cast<unsigned char>(bytes[at]);
}

bool is_continuation(unsigned char byte) { return (byte & 0xc0) == 0x80; }

// How many bytes the well-formed letter has that starts at `at`; 0 if there is none (Unicode 15, table 3-7).
std::size_t letter_bytes(std::string_view bytes, std::size_t at) {
  const unsigned char lead = byte_at(bytes, at);
  if (lead < 0x80) return 1;
  std::size_t length = 0;
  // Bounds of the second byte: they rule out overlong forms, surrogates and > U+10FFFF.
  unsigned char low = 0x80;
  unsigned char high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    if (lead == 0xe0) low = 0xa0;
    if (lead == 0xed) high = 0x9f;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    if (lead == 0xf0) low = 0x90;
    if (lead == 0xf4) high = 0x8f;
  } else {
    return 0;
  }
  if (bytes.size() - at < length) return 0;
  if (byte_at(bytes, at + 1) < low || byte_at(bytes, at + 1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i) {
    if (!is_continuation(byte_at(bytes, at + i))) return 0;
  }
  return length;
}

// Start and end of the well-formed letter that lies across the boundary before `at`; both are `at` if there
// is none.
std::pair<std::size_t, std::size_t> letter_across(std::string_view bytes, std::size_t at) {
  for (std::size_t back = 1; back <= 3 && back <= at; ++back) {
    const std::size_t start = at - back;
    if (is_continuation(byte_at(bytes, start))) continue;
    const std::size_t length = letter_bytes(bytes, start);
    if (length > back) return {start, start + length};
    break;
  }
  return {at, at};
}

bool needs_escape(unsigned char byte) { return byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f; }

template <std::size_t kBytes>
bool any_needs_escape(const char* bytes) {
  return any_byte<kBytes>(bytes, [](SixteenBytes some) {
    return as_bytes((some < 0x20) | (some == '"') | (some == '\\') | (some == 0x7f));
  });
}

// The first byte from `at` on that needs an escape; the size of the text if there is none. Lines may be
// short, so it begins with a few bytes one by one.
std::size_t next_escaped(std::string_view text, std::size_t at) {
  for (const std::size_t few = std::min(text.size(), at + 12); at < few; ++at) {
    if (needs_escape(byte_at(text, at))) return at;
  }
  while (text.size() - at >= 64 && !any_needs_escape<64>(text.data() + at)) at += 64;
  while (text.size() - at >= 16 && !any_needs_escape<16>(text.data() + at)) at += 16;
  while (at < text.size() && !needs_escape(byte_at(text, at))) ++at;
  return at;
}

char short_escape(unsigned char byte) {
  switch (byte) {
    case '"':
      return '"';
    case '\\':
      return '\\';
    case '\n':
      return 'n';
    case '\t':
      return 't';
    case '\r':
      return 'r';
    case '\b':
      return 'b';
    case '\f':
      return 'f';
    default:
      return 0;
  }
}

// Whether `part`, of at least three letters, abbreviates `whole`: both start with the same letter, and either
// all letters of `part` occur in `whole` in their order, or `whole` starts with all of `part` but its last
// letter.
bool abbreviates(std::string_view part, std::string_view whole) {
  if (part.size() < 3 || whole.empty() || part.front() != whole.front()) return false;
  if (part.size() > 3 && whole.substr(0, part.size() - 1) == part.substr(0, part.size() - 1)) return true;
  std::size_t at = 0;
  for (const char c : whole) at += at < part.size() && c == part[at] ? 1 : 0;
  return at == part.size();
}

// Edit distance that counts a swap of neighbours as one edit ("evn" is one away from "env").
std::size_t edit_distance(std::string_view left, std::string_view right) {
  std::vector<std::size_t> before(right.size() + 1), last(right.size() + 1), row(right.size() + 1);
  for (std::size_t j = 0; j <= right.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= left.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      const std::size_t change = left[i - 1] == right[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + change});
      if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, last);
    std::swap(last, row);
  }
  return last[right.size()];
}

}  // namespace

std::size_t utf8_valid_bytes(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size()) {
    // Most text is ASCII.
    const auto is_ascii = [](const char* some) {
      return !any_byte<16>(some, [](SixteenBytes letters) { return letters; });
    };
    if (bytes.size() - at >= 16 && is_ascii(bytes.data() + at)) {
      at += 16;
      continue;
    }
    const std::size_t length = letter_bytes(bytes, at);
    if (length == 0) return at;
    at += length;
  }
  return at;
}

bool is_utf8(std::string_view bytes) { return utf8_valid_bytes(bytes) == bytes.size(); }

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  std::size_t plain = 0;  // where the run of bytes that need no escape begins
  for (std::size_t at = next_escaped(text, 0); at < text.size(); at = next_escaped(text, at + 1)) {
    const unsigned char byte = byte_at(text, at);
    out.append(text, plain, at - plain);
    plain = at + 1;
    out += '\\';
    if (const char letter = short_escape(byte)) {
      out += letter;
    } else {
      out += "u00";
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 0xf];
    }
  }
  out.append(text, plain, text.size() - plain);
  out += '"';
}

std::size_t json_string_bytes(std::string_view text) {
  std::size_t bytes = 2 + text.size();
  for (std::size_t at = next_escaped(text, 0); at < text.size(); at = next_escaped(text, at + 1))
    bytes += short_escape(byte_at(text, at)) != 0 ? 1 : 5;
  return bytes;
}

void append_base64(std::string& out, std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  out.reserve(out.size() + (bytes.size() + 2) / 3 * 4);
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    const std::size_t count = std::min<std::size_t>(3, bytes.size() - at);
    std::uint32_t group = 0;
    for (std::size_t i = 0; i < 3; ++i) group = group << 8 | (i < count ? byte_at(bytes, at + i) : 0U);
    out += kAlphabet[group >> 18];
    out += kAlphabet[group >> 12 & 0x3f];
    out += count > 1 ? kAlphabet[group >> 6 & 0x3f] : '=';
    out += count > 2 ? kAlphabet[group & 0x3f] : '=';
  }
}

std::optional<std::string> base64_bytes(std::string_view text) {
  const auto value_of = [](char letter) -> int {
    if (letter >= 'A' && letter <= 'Z') return letter - 'A';
    if (letter >= 'a' && letter <= 'z') return letter - 'a' + 26;
    if (letter >= '0' && letter <= '9') return letter - '0' + 52;
    return letter == '+' ? 62 : letter == '/' ? 63 : -1;
  };
  if (text.size() % 4 != 0) return std::nullopt;
  const std::size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t group = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const int value = at < text.size() - padding ? value_of(text[at]) : 0;
    if (value < 0) return std::nullopt;
    group = group << 6 | static_cast<std::uint32_t>(value);
    if (at % 4 != 3) continue;
    for (const int shift : {16, 8, 0}) bytes += static_cast<char>(group >> shift & 0xff);
    group = 0;
  }
  // The bits behind the last byte are 0, so that no two texts mean the same.
  for (std::size_t i = 0; i < padding; ++i) {
    if (bytes.back() != '\0') return std::nullopt;
    bytes.pop_back();
  }
  return bytes;
}

namespace {

// C0, DEL, C1; and what changes the order in which a line is read, or ends it, without being seen: a name
// with U+202E in it makes its line say something else. `letter`: UTF-8.
bool is_control(std::string_view letter) {
  const auto byte = [letter](std::size_t i) { return byte_at(letter, i); };
  switch (letter.size()) {
    case 1:
      return byte(0) < 0x20 || byte(0) == 0x7f;
    case 2:
      return (byte(0) == 0xc2 && byte(1) < 0xa0) || letter == "\xd8\x9c";  // U+061C
    case 3:
      if (byte(0) != 0xe2) return false;
      return (byte(1) == 0x80 &&
              (byte(2) == 0x8e || byte(2) == 0x8f || (byte(2) >= 0xa8 && byte(2) <= 0xae))) ||
             (byte(1) == 0x81 && byte(2) >= 0xa6 && byte(2) <= 0xa9);  // U+200E to U+202E, U+2066 to U+2069
    default:
      return false;
  }
}

}  // namespace

std::string printable(std::string_view bytes, std::size_t limit) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    // Most text is plain ASCII.
    std::size_t plain = at;
    while (plain < bytes.size() && byte_at(bytes, plain) >= 0x20 && byte_at(bytes, plain) < 0x7f) ++plain;
    if (plain > at) {
      const std::size_t room = std::min(plain - at, limit - std::min(limit, out.size()));
      out.append(bytes, at, room);
      if (room < plain - at) return out + "…";
      at = plain;
      continue;
    }
    const std::size_t length = letter_bytes(bytes, at);
    const std::size_t taken = std::max<std::size_t>(1, length);
    std::string shown;
    if (length != 0 && !is_control(bytes.substr(at, length))) {
      shown = bytes.substr(at, length);
    } else {
      for (std::size_t i = 0; i < taken; ++i) {
        shown += "\\x";
        shown += kHexDigits[byte_at(bytes, at + i) >> 4];
        shown += kHexDigits[byte_at(bytes, at + i) & 0xf];
      }
    }
    if (out.size() + shown.size() > limit) return out + "…";
    out += shown;
    at += taken;
  }
  return out;
}

std::string_view utf8_prefix(std::string_view bytes, std::size_t limit) {
  if (bytes.size() <= limit) return bytes;
  return bytes.substr(0, letter_across(bytes, limit).first);
}

std::string_view utf8_suffix(std::string_view bytes, std::size_t limit) {
  if (bytes.size() <= limit) return bytes;
  return bytes.substr(letter_across(bytes, bytes.size() - limit).second);
}

std::string_view nearest(std::string_view given, const std::string_view* known, std::size_t count) {
  constexpr std::size_t kWordBytesMax = 64;  // the distance costs the product of the lengths
  if (given.size() > kWordBytesMax) return {};
  std::string word(given);
  for (char& c : word) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  std::string_view best;
  std::size_t best_distance = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t distance = edit_distance(word, known[i]);
    const bool is_near = distance * 3 <= std::max(word.size(), known[i].size());
    if (!is_near && !abbreviates(word, known[i]) && !abbreviates(known[i], word)) continue;
    if (best.empty() || distance < best_distance) {
      best = known[i];
      best_distance = distance;
    }
  }
  return best;
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return std::to_string(count) + ' ' + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace workpool
