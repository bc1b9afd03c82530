// SPDX-License-Identifier: MIT
#include "common/formats/json_scalars.h"

#include <cstddef>

#include "common/formats/json_text.h"

namespace workpool {
namespace {

constexpr std::size_t kBytesMax = 4 << 20;
constexpr int kDepthMax = 8;

// Flattens text that is known to be valid JSON.
class Flattener {
 public:
  Flattener(std::string_view text, JsonScalars& values) : text_(text), values_(values) {}

  // Takes the value at `at` with everything in it; returns the offset after it.
  std::size_t take(std::size_t at, const std::string& path, int depth) {
    const char first = text_[at];
    if (first == '"') {
      values_[path] = json_string_value(text_, at);
      return json_string_end(text_, at);
    }
    if (first == '{' || first == '[') return take_inside(at, path, depth);
    const std::size_t end = json_value_end(text_, at);
    values_[path] = text_.substr(at, end - at);
    return end;
  }
  bool too_deep() const { return too_deep_; }

 private:
  std::size_t take_inside(std::size_t at, const std::string& path, int depth) {
    if (depth > kDepthMax) {
      too_deep_ = true;
      return json_value_end(text_, at);
    }
    const bool object = text_[at] == '{';
    at = skip_json_space(text_, at + 1);
    for (std::size_t index = 0; text_[at] != '}' && text_[at] != ']'; ++index) {
      const std::string name = object ? json_string_value(text_, at) : std::to_string(index);
      const std::size_t value = object ? json_member_value(text_, at) : at;
      at = skip_json_space(text_, take(value, path.empty() ? name : path + "." + name, depth + 1));
      if (text_[at] == ',') at = skip_json_space(text_, at + 1);
    }
    return at + 1;
  }

  std::string_view text_;
  JsonScalars& values_;
  bool too_deep_ = false;
};

}  // namespace

std::optional<JsonScalars> json_scalars(std::string_view text) {
  if (text.size() > kBytesMax || find_json_fault(text)) return std::nullopt;
  const std::size_t at = skip_json_space(text, 0);
  if (text[at] != '{') return std::nullopt;
  JsonScalars values;
  Flattener flattener(text, values);
  flattener.take(at, "", 0);
  if (flattener.too_deep()) return std::nullopt;
  return values;
}

}  // namespace workpool
