// SPDX-License-Identifier: MIT
#include "common/formats/json_text.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <set>
#include <utility>

#include "common/base/byte_spans.h"
#include "common/base/text.h"

namespace workpool {
namespace {

bool is_space(char byte) { return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r'; }

bool is_digit(char byte) { return byte >= '0' && byte <= '9'; }

// The byte in backquotes; as \xHH if it cannot be shown.
std::string shown(char byte) { return '`' + printable(std::string_view(&byte, 1)) + '`'; }

void append_utf8(std::string& out, std::uint32_t letter) {
  const auto tail = [&out](std::uint32_t bits) { out += static_cast<char>(0x80 | (bits & 0x3f)); };
  if (letter < 0x80) {
    out += static_cast<char>(letter);
  } else if (letter < 0x800) {
    out += static_cast<char>(0xc0 | letter >> 6);
    tail(letter);
  } else if (letter < 0x10000) {
    out += static_cast<char>(0xe0 | letter >> 12);
    tail(letter >> 6);
    tail(letter);
  } else {
    out += static_cast<char>(0xf0 | letter >> 18);
    tail(letter >> 12);
    tail(letter >> 6);
    tail(letter);
  }
}

// A recursive descent over the text; the first fault ends it. Every method returns false once there is one.
class Validator {
 public:
  explicit Validator(std::string_view text, JsonText what = JsonText::kLine)
      : text_(text), is_line_(what == JsonText::kLine) {}

  std::optional<JsonFault> run() {
    skip_space();
    if (value(1)) {
      skip_space();
      if (at_ != text_.size())
        fail(at_, is_line_ ? "text after the end of the object: one object per line"
                           : "text after the end of the value");
    }
    return std::move(fault_);
  }

  // The string that starts at `at`, or the part of it before its first fault.
  std::string decoded_string(std::size_t at) {
    at_ = at;
    std::string decoded;
    string(decoded);
    return decoded;
  }

 private:
  bool fail(std::size_t offset, std::string message) {
    fault_ = JsonFault{offset, std::move(message)};
    return false;
  }
  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  void skip_space() { at_ = skip_json_space(text_, at_); }
  bool unexpected(const char* wanted) {
    if (at_end())
      return fail(at_, std::string(is_line_ ? "the line" : "it") + " ends too early: expected " + wanted);
    if (peek() == '\'') return fail(at_, "single quotes: JSON strings need double quotes");
    return fail(at_, "unexpected " + shown(peek()) + ": expected " + wanted);
  }

  bool value(int depth) {
    if (at_end()) return unexpected("a value");
    switch (peek()) {
      case '{':
      case '[':
        if (depth > kJsonDepthMax) {
          return fail(at_, "nested deeper than " + std::to_string(kJsonDepthMax) + " levels");
        }
        return peek() == '{' ? object(depth) : array(depth);
      case '"': {
        std::string ignored;
        return string(ignored);
      }
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  bool word(std::string_view expected) {
    std::size_t end = at_;
    while (end < text_.size() && std::string_view(",]}:\"").find(text_[end]) == std::string_view::npos &&
           !is_space(text_[end])) {
      ++end;
    }
    const std::string_view found = text_.substr(at_, end - at_);
    if (found == expected && !found.empty()) {
      at_ = end;
      return true;
    }
    if (is_wordy(found))
      return fail(at_, '`' + printable(found, 40) + "` is not a JSON value: put text in double quotes");
    return unexpected("a value");
  }
  static bool is_wordy(std::string_view found) {
    return !found.empty() && ((found[0] >= 'a' && found[0] <= 'z') || (found[0] >= 'A' && found[0] <= 'Z'));
  }

  bool array(int depth) {
    ++at_;
    skip_space();
    if (peek() == ']') return ++at_, true;
    while (true) {
      if (peek() == ',') return fail(at_, "a comma without a value before it");
      if (!value(depth + 1)) return false;
      skip_space();
      if (peek() == ']') return ++at_, true;
      if (peek() != ',') return unexpected("`,` or `]`");
      const std::size_t comma = at_++;
      skip_space();
      if (peek() == ']') return fail(comma, "a trailing comma: remove it");
    }
  }

  bool object(int depth) {
    std::set<std::string> keys;
    ++at_;
    skip_space();
    if (peek() == '}') return ++at_, true;
    while (true) {
      if (peek() == ',') return fail(at_, "a comma without a member before it");
      if (peek() != '"') return unexpected("a key in double quotes");
      const std::size_t key_at = at_;
      std::string key;
      if (!string(key)) return false;
      if (!keys.insert(key).second)
        return fail(key_at, "the key \"" + printable(key, 80) + "\" occurs twice: keep one");
      skip_space();
      if (peek() != ':') return unexpected("`:`");
      ++at_;
      skip_space();
      if (!value(depth + 1)) return false;
      skip_space();
      if (peek() == '}') return ++at_, true;
      if (peek() != ',') return unexpected("`,` or `}`");
      const std::size_t comma = at_++;
      skip_space();
      if (peek() == '}') return fail(comma, "a trailing comma: remove it");
    }
  }

  bool string(std::string& decoded) {
    const std::size_t open = at_++;
    while (true) {
      if (at_end()) return fail(open, "a string without its closing quote");
      const auto byte = static_cast<unsigned char>(peek());
      if (byte == '"') return ++at_, true;
      if (byte < 0x20) return fail(at_, "a control character in a string: write it as \\u00xx, \\n or \\t");
      if (byte == '\\') {
        if (!escape(decoded)) return false;
        continue;
      }
      std::size_t letter = 1;
      if (byte >= 0x80) {
        letter = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
        if (utf8_valid_bytes(text_.substr(at_, letter)) != letter)
          return fail(at_, is_line_ ? "not UTF-8: save the file as UTF-8" : "not UTF-8");
      }
      decoded.append(text_, at_, letter);
      at_ += letter;
    }
  }

  bool escape(std::string& decoded) {
    static constexpr std::string_view kLetters = "\"\\/bfnrt";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    const std::size_t start = at_++;
    if (at_end()) return fail(start, "a string without its closing quote");
    const std::size_t known = kLetters.find(peek());
    if (known != std::string_view::npos) {
      decoded += kMeanings[known];
      ++at_;
      return true;
    }
    if (peek() != 'u')
      return fail(start, "`\\" + printable(text_.substr(at_, 1)) +
                             "` is not a JSON escape: write \\\\ for a backslash");
    std::uint32_t unit = 0;
    if (!code_unit(start, unit)) return false;
    if (unit >= 0xd800 && unit < 0xe000) {
      std::uint32_t low = 0;
      const bool pair = unit < 0xdc00 && text_.substr(at_, 2) == "\\u";
      if (pair) ++at_;
      if (pair && !code_unit(at_ - 1, low)) return false;
      if (low < 0xdc00 || low >= 0xe000)
        return fail(start, "a lone surrogate: half of a letter in \\u escapes");
      unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    append_utf8(decoded, unit);
    return true;
  }

  // Reads `uXXXX`; `start` is where its backslash stands.
  bool code_unit(std::size_t start, std::uint32_t& unit) {
    const std::string_view digits = text_.substr(std::min(at_ + 1, text_.size()), 4);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), unit, 16);
    if (digits.size() != 4 || parsed.ptr != digits.data() + 4)
      return fail(start, "\\u needs four hex digits");
    at_ += 5;
    return true;
  }

  bool number() {
    const std::size_t start = at_;
    std::size_t end = at_;
    if (end < text_.size() && text_[end] == '-') ++end;
    if (end == text_.size() || !is_digit(text_[end])) return no_number(start, end);
    if (text_[end] == '0' && end + 1 < text_.size() && is_digit(text_[end + 1])) {
      return fail(start, "a number with a leading zero: remove the zero, or put the text in double quotes");
    }
    while (end < text_.size() && is_digit(text_[end])) ++end;
    bool integer = true;
    if (end < text_.size() && text_[end] == '.') {
      integer = false;
      if (!digits_after(++end)) return fail(start, "a number needs digits after its point");
    }
    if (end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      integer = false;
      ++end;
      if (end < text_.size() && (text_[end] == '+' || text_[end] == '-')) ++end;
      if (!digits_after(end)) return fail(start, "a number needs digits after its exponent's e");
    }
    at_ = end;
    return in_range(start, text_.substr(start, end - start), integer);
  }
  bool digits_after(std::size_t& end) const {
    const std::size_t first = end;
    while (end < text_.size() && is_digit(text_[end])) ++end;
    return end > first;
  }
  bool no_number(std::size_t start, std::size_t end) {
    const std::string_view rest = text_.substr(end);
    if (rest.substr(0, 3) == "NaN" || rest.substr(0, 3) == "Inf" || rest.substr(0, 3) == "inf") {
      return fail(start, "not a finite number: JSON has no NaN and no Infinity");
    }
    return end == start ? word("") : fail(start, "a minus sign without a number");
  }
  bool in_range(std::size_t start, std::string_view digits, bool integer) {
    const char* const last = digits.data() + digits.size();
    if (!integer) {
      // Not from_chars: it reports a number too small for a double, which is fine (0), like one that is too
      // large.
      if (!std::isfinite(std::strtod(std::string(digits).c_str(), nullptr))) {
        return fail(start, "not a finite number: it is beyond what a double holds");
      }
      return true;
    }
    std::uint64_t whole = 0;
    std::int64_t negative = 0;
    const bool fits = digits[0] == '-' ? std::from_chars(digits.data(), last, negative).ec == std::errc{}
                                       : std::from_chars(digits.data(), last, whole).ec == std::errc{};
    if (!fits) return fail(start, "an integer beyond 64 bits: put it in double quotes");
    return true;
  }

  std::string_view text_;
  bool is_line_;  // of a file, which people edit
  std::size_t at_ = 0;
  std::optional<JsonFault> fault_;
};

// Walks over the value at `at` and returns the offset after it. If `out` is given, appends the value's bytes
// without the whitespace outside strings.
std::size_t walk_value(std::string* out, std::string_view text, std::size_t at) {
  std::size_t copied = at;  // everything before it is in `out`
  int depth = 0;
  while (at < text.size()) {
    const char byte = text[at];
    if (byte == '"') {
      at = json_string_end(text, at);
    } else if (byte == '{' || byte == '[') {
      ++depth;
      ++at;
    } else if (byte == '}' || byte == ']') {
      if (depth == 0) break;  // the end of what holds a number or a word
      --depth;
      ++at;
    } else if (is_space(byte)) {
      if (depth == 0) break;
      if (out != nullptr) out->append(text, copied, at - copied);
      at = skip_json_space(text, at);
      copied = at;
      continue;
    } else if (byte == ',' && depth == 0) {
      break;
    } else {
      ++at;
      continue;  // inside a number or a word, or a separator
    }
    if (depth == 0) break;
  }
  if (out != nullptr) out->append(text, copied, at - copied);
  return at;
}

}  // namespace

std::optional<JsonFault> find_json_fault(std::string_view text, JsonText what) {
  return Validator(text, what).run();
}

std::string_view trim_json_space(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

std::size_t skip_json_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

std::string json_string_value(std::string_view text, std::size_t at) {
  return Validator(text).decoded_string(at);
}

std::size_t json_string_end(std::string_view text, std::size_t at) {
  const auto stops = [](SixteenBytes some) { return as_bytes((some == '"') | (some == '\\')); };
  const char* const end = text.data() + text.size();
  const char* next = text.data() + std::min(at + 1, text.size());
  for (;;) {
    while (end - next >= 16) {
      const std::size_t place = first_byte(next, stops);
      next += place;
      if (place < 16) break;
    }
    while (next < end && *next != '"' && *next != '\\') ++next;
    if (next == end) return text.size();
    if (*next == '"') return static_cast<std::size_t>(next + 1 - text.data());
    next += std::min<std::ptrdiff_t>(2, end - next);
  }
}

std::size_t json_value_end(std::string_view text, std::size_t at) {
  return at < text.size() && text[at] == '"' ? json_string_end(text, at) : walk_value(nullptr, text, at);
}

std::size_t append_compact_json(std::string& out, std::string_view text, std::size_t at) {
  return walk_value(&out, text, at);
}

std::size_t json_member_value(std::string_view text, std::size_t key) {
  const std::size_t colon = skip_json_space(text, json_string_end(text, key));
  return skip_json_space(text, std::min(colon + 1, text.size()));
}

std::size_t json_element_place(std::string_view text, std::size_t at, std::size_t index) {
  const bool object = text[at] == '{';
  std::size_t place = skip_json_space(text, at + 1);
  for (; index > 0; --index) {
    const std::size_t value = object ? json_member_value(text, place) : place;
    const std::size_t comma = skip_json_space(text, json_value_end(text, value));
    place = skip_json_space(text, std::min(comma + 1, text.size()));
  }
  return place;
}

}  // namespace workpool
