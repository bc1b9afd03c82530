// SPDX-License-Identifier: MIT
#include "common/formats/json_scalars.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/base/text.h"

namespace workpool::dispatcher {

namespace {

constexpr std::size_t kBytesMax = 4 << 20;
constexpr int kDepthMax = 8;

void append_code_point(std::string& out, std::uint32_t point) {
  const auto add = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (point < 0x80) {
    add(point);
  } else if (point < 0x800) {
    add(0xc0 | (point >> 6));
    add(0x80 | (point & 0x3f));
  } else if (point < 0x10000) {
    add(0xe0 | (point >> 12));
    add(0x80 | ((point >> 6) & 0x3f));
    add(0x80 | (point & 0x3f));
  } else {
    add(0xf0 | (point >> 18));
    add(0x80 | ((point >> 12) & 0x3f));
    add(0x80 | ((point >> 6) & 0x3f));
    add(0x80 | (point & 0x3f));
  }
}

// Every function takes what it names off the front, and gives false where that is not there.
class Reader {
 public:
  Reader(std::string_view text, JsonScalars& values) : text_(text), values_(values) {}

  bool whole_object() {
    skip_space();
    if (text_.empty() || text_.front() != '{' || !value("", 0)) return false;
    skip_space();
    return text_.empty();
  }

 private:
  void skip_space() {
    const std::size_t at = text_.find_first_not_of(" \t\r\n");
    text_.remove_prefix(at == std::string_view::npos ? text_.size() : at);
  }
  bool take(char c) {
    skip_space();
    if (text_.empty() || text_.front() != c) return false;
    text_.remove_prefix(1);
    return true;
  }

  bool value(const std::string& path, int depth) {
    skip_space();
    if (text_.empty() || depth > kDepthMax) return false;
    if (text_.front() == '{') return object(path, depth);
    if (text_.front() == '[') return array(path, depth);
    if (text_.front() == '"') return string(values_[path]);
    return word(values_[path]);
  }

  bool object(const std::string& path, int depth) {
    if (!take('{')) return false;
    if (take('}')) return true;
    do {
      std::string name;
      skip_space();
      if (!string(name) || !take(':')) return false;
      if (!value(path.empty() ? name : path + "." + name, depth + 1)) return false;
    } while (take(','));
    return take('}');
  }

  bool array(const std::string& path, int depth) {
    if (!take('[')) return false;
    if (take(']')) return true;
    std::size_t index = 0;
    do {
      if (!value(path + "." + std::to_string(index++), depth + 1)) return false;
    } while (take(','));
    return take(']');
  }

  // A number or one of the three literals: checked for its letters only, since it is shown and never computed
  // with.
  bool word(std::string& out) {
    const std::size_t end = std::min(text_.find_first_not_of("+-.0123456789eEtrufalsn"), text_.size());
    out.assign(text_.substr(0, end));
    text_.remove_prefix(end);
    const bool literal = out == "true" || out == "false" || out == "null";
    return literal || out.find_first_of("0123456789") != std::string::npos;
  }

  bool string(std::string& out) {
    out.clear();
    if (text_.empty() || text_.front() != '"') return false;
    text_.remove_prefix(1);
    while (!text_.empty() && text_.front() != '"') {
      const char c = text_.front();
      text_.remove_prefix(1);
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        out += c;
      } else if (!escape(out)) {
        return false;
      }
    }
    if (text_.empty()) return false;
    text_.remove_prefix(1);
    return is_utf8(out);
  }

  bool escape(std::string& out) {
    static constexpr std::string_view kNames = "\"\\/bfnrt";
    static constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (text_.empty()) return false;
    const char c = text_.front();
    text_.remove_prefix(1);
    if (const std::size_t at = kNames.find(c); at != std::string_view::npos) {
      out += kMeanings[at];
      return true;
    }
    std::uint32_t point = 0;
    if (c != 'u' || !hex4(point)) return false;
    if (point >= 0xd800 && point < 0xdc00) {
      std::uint32_t low = 0;
      if (text_.substr(0, 2) != "\\u") return false;
      text_.remove_prefix(2);
      if (!hex4(low) || low < 0xdc00 || low > 0xdfff) return false;
      point = 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
    }
    append_code_point(out, point);  // a lone low surrogate makes the string invalid UTF-8, and is refused
    return true;
  }

  bool hex4(std::uint32_t& out) {
    if (text_.size() < 4) return false;
    out = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const std::size_t digit =
          std::string_view("0123456789abcdef")
              .find(static_cast<char>(text_[i] >= 'A' && text_[i] <= 'F' ? text_[i] + 32 : text_[i]));
      if (digit == std::string_view::npos) return false;
      out = out * 16 + static_cast<std::uint32_t>(digit);
    }
    text_.remove_prefix(4);
    return true;
  }

  std::string_view text_;
  JsonScalars& values_;
};

}  // namespace

std::optional<JsonScalars> json_scalars(std::string_view text) {
  JsonScalars values;
  if (text.size() > kBytesMax || !Reader(text, values).whole_object()) return std::nullopt;
  return values;
}

}  // namespace workpool::dispatcher
