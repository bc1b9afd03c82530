// SPDX-License-Identifier: MIT
#include "worker/handlers/arguments.h"

#include <algorithm>
#include <charconv>

#include "common/formats/json_text.h"
#include "worker/handlers/handler.h"

namespace workpool::worker {
namespace {

std::uint32_t hex4(std::string_view digits) {
  std::uint32_t value = 0;
  std::from_chars(digits.data(), digits.data() + 4, value, 16);
  return value;
}

void append_utf8(std::string& out, std::uint32_t letter) {
  auto add = [&out](std::uint32_t byte) { out += static_cast<char>(byte); };
  if (letter < 0x80) {
    add(letter);
  } else if (letter < 0x800) {
    add(0xC0 | letter >> 6);
    add(0x80 | (letter & 0x3F));
  } else if (letter < 0x10000) {
    add(0xE0 | letter >> 12);
    add(0x80 | (letter >> 6 & 0x3F));
    add(0x80 | (letter & 0x3F));
  } else {
    add(0xF0 | letter >> 18);
    add(0x80 | (letter >> 12 & 0x3F));
    add(0x80 | (letter >> 6 & 0x3F));
    add(0x80 | (letter & 0x3F));
  }
}

// The text of a valid JSON string; `json` includes the quotes.
std::string unescaped(std::string_view json) {
  static constexpr std::string_view kNames = "bfnrt";
  static constexpr std::string_view kLetters = "\b\f\n\r\t";
  std::string out;
  out.reserve(json.size());
  for (std::size_t at = 1; at + 1 < json.size(); ++at) {
    if (json[at] != '\\') {
      out += json[at];
      continue;
    }
    const char escape = json[++at];
    if (const std::size_t known = kNames.find(escape); known != std::string_view::npos) {
      out += kLetters[known];
    } else if (escape != 'u') {
      out += escape;
    } else {
      std::uint32_t letter = hex4(json.substr(at + 1));
      at += 4;
      if (letter >= 0xD800 && letter < 0xDC00) {  // the first half of a pair; valid JSON has the second
        letter = 0x10000 + ((letter - 0xD800) << 10) + (hex4(json.substr(at + 3)) - 0xDC00);
        at += 6;
      }
      append_utf8(out, letter);
    }
  }
  return out;
}

std::string listed(std::initializer_list<std::string_view> names) {
  std::string text;
  for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

}  // namespace

Arguments::Arguments(std::string_view args, std::initializer_list<std::string_view> known) {
  std::size_t at = skip_json_space(args, 0);
  if (args.substr(at, 4) == "null") return;
  if (args.substr(at, 1) != "{") throw HandlerError("args must be an object with " + listed(known));
  at = skip_json_space(args, at + 1);
  while (at < args.size() && args[at] == '"') {
    const std::size_t key_end = json_string_end(args, at);
    std::string key = unescaped(args.substr(at, key_end - at));
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      throw HandlerError("args have an unknown member \"" + key + "\"; known are " + listed(known));
    }
    const std::size_t value = json_member_value(args, at);
    const std::size_t end = json_value_end(args, value);
    members_.emplace_back(std::move(key), args.substr(value, end - value));
    at = skip_json_space(args, end);
    if (at < args.size() && args[at] == ',') at = skip_json_space(args, at + 1);
  }
}

std::optional<std::string_view> Arguments::raw(std::string_view name) const {
  for (const auto& [key, value] : members_) {
    if (key == name) return value;
  }
  return std::nullopt;
}

std::optional<std::string> Arguments::text(std::string_view name) const {
  const auto value = raw(name);
  if (!value) return std::nullopt;
  if (!value->starts_with('"')) throw HandlerError("args: \"" + std::string(name) + "\" must be a string");
  return unescaped(*value);
}

std::optional<std::uint64_t> Arguments::count(std::string_view name) const {
  const auto value = raw(name);
  if (!value) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
  if (error != std::errc() || end != value->data() + value->size()) {
    throw HandlerError("args: \"" + std::string(name) + "\" must be an integer from 0");
  }
  return number;
}

}  // namespace workpool::worker
