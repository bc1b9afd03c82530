// SPDX-License-Identifier: MIT
// JSON as bytes with places: a strict validator that says where and why a text is not JSON (slow: used only
// once a text was refused), and walkers over text that is known to be valid, which find what a parsed value
// has lost: its bytes and its offset. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace workpool {

inline constexpr int kJsonDepthMax = 64;  // objects and arrays inside one another, the outermost counted

struct JsonFault {
  std::size_t offset = 0;  // in bytes, from 0
  std::string message;     // what is wrong and what to do
};

// What a text is, for the words of a fault: advice about the lines of a file helps nobody whose value is
// wrong.
enum class JsonText : std::uint8_t { kLine, kValue };

// Returns the first place where `text`, any bytes, is not exactly one JSON value (RFC 8259) as workpool
// accepts it, or nullopt if it is one: valid UTF-8, no lone surrogates, integers within 64 bits, finite
// numbers, no key twice in one object, depth at most kJsonDepthMax.
std::optional<JsonFault> find_json_fault(std::string_view text, JsonText what = JsonText::kLine);

// `text` without JSON whitespace at its ends.
std::string_view trim_json_space(std::string_view text);

// ---- For the functions below `text` must hold valid JSON, and `at` is an offset in it. For other text their
//      results mean nothing, but are never beyond its end. ----

// The first offset from `at` on that is not JSON whitespace; text.size() if there is none.
std::size_t skip_json_space(std::string_view text, std::size_t at);
// The text of the string whose opening quote is at `at`.
std::string json_string_value(std::string_view text, std::size_t at);
// One past the string (its opening quote is at `at`), or past the value that starts at `at`.
std::size_t json_string_end(std::string_view text, std::size_t at);
std::size_t json_value_end(std::string_view text, std::size_t at);
// Appends the value that starts at `at`, without the whitespace outside its strings; returns the offset past
// it.
std::size_t append_compact_json(std::string& out, std::string_view text, std::size_t at);
// The offset of element (array) or key (object) number `index`, from 0, in the container that starts at `at`.
std::size_t json_element_place(std::string_view text, std::size_t at, std::size_t index);
// The offset of the value of the member whose key starts at `key`.
std::size_t json_member_value(std::string_view text, std::size_t key);

// ---- For any text: ----

// Calls `visit(key, value)` with the text of each member of the object that begins at body[0], the quotes of
// the key included, until that returns false. `body` ends where the closing brace would stand, which is left
// out. Returns false if `visit` did, or if `body` is no such object as far as its outermost level shows.
template <class Visit>
bool visit_json_members(std::string_view body, Visit&& visit) {
  if (body.substr(0, 1) != "{") return false;
  std::size_t at = skip_json_space(body, 1);
  while (at < body.size() && body[at] == '"') {
    const std::string_view key = body.substr(at, json_string_end(body, at) - at);
    const std::size_t colon = skip_json_space(body, at + key.size());
    if (colon >= body.size() || body[colon] != ':') return false;
    const std::size_t value = skip_json_space(body, colon + 1);
    const std::size_t end = json_value_end(body, value);
    if (!visit(key, body.substr(value, end - value))) return false;
    at = skip_json_space(body, end);
    if (at == body.size()) return true;
    if (body[at] != ',') return false;
    at = skip_json_space(body, at + 1);
  }
  return false;
}

}  // namespace workpool
