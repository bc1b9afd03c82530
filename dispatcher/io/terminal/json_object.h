// SPDX-License-Identifier: MIT
// Writes one JSON object, member by member. Paths and names may be any bytes; JSON may not, so what is not
// UTF-8 is shown as \xHH. Pure.
#pragma once

#include <fmt/format.h>

#include <concepts>
#include <string>
#include <string_view>

#include "common/base/text.h"

namespace workpool::dispatcher {

class JsonObject {
 public:
  JsonObject& text(std::string_view name, std::string_view value) {
    begin(name);
    append_text(json_, value);
    return *this;
  }
  JsonObject& number(std::string_view name, std::integral auto value) {
    begin(name);
    json_ += std::to_string(value);
    return *this;
  }
  JsonObject& truth(std::string_view name, bool value) { return raw(name, value ? "true" : "false"); }
  JsonObject& seconds(std::string_view name, double value) { return raw(name, fmt::format("{:.3f}", value)); }
  // `value` is JSON.
  JsonObject& raw(std::string_view name, std::string_view value) {
    begin(name);
    json_ += value;
    return *this;
  }
  std::string end() const { return json_ + '}'; }

  static void append_text(std::string& out, std::string_view value) {
    if (is_utf8(value)) {
      append_json_string(out, value);
    } else {
      append_json_string(out, printable(value));
    }
  }

 private:
  void begin(std::string_view name) {
    if (json_.size() > 1) json_ += ',';
    append_json_string(json_, name);
    json_ += ':';
  }

  std::string json_ = "{";
};

// An array of what `json_of` makes of each item.
template <class Items, class JsonOf>
std::string json_array(const Items& items, JsonOf&& json_of) {
  std::string json = "[";
  for (const auto& item : items) {
    if (json.size() > 1) json += ',';
    json += json_of(item);
  }
  return json + ']';
}

}  // namespace workpool::dispatcher
