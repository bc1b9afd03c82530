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

}  // namespace workpool
