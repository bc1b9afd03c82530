// SPDX-License-Identifier: MIT
// Shows bytes to people and writes them as JSON. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace workpool {

bool is_utf8(std::string_view bytes);  // strict: no overlong forms, no surrogates, nothing above U+10FFFF
// How many bytes at the start are UTF-8 in this sense; bytes.size() if all are.
std::size_t utf8_valid_bytes(std::string_view bytes);

// Appends `text` (valid UTF-8) as a JSON string with its quotes: `"`, `\` and control characters are escaped
// (\n, \t, \r, \b, \f, else \u00xx), DEL too; everything else as it is.
void append_json_string(std::string& out, std::string_view text);
// The bytes that append_json_string would add.
std::size_t json_string_bytes(std::string_view text);

void append_base64(std::string& out, std::string_view bytes);  // RFC 4648, with padding
// The inverse: nullopt if `text` is nothing that append_base64 writes.
std::optional<std::string> base64_bytes(std::string_view text);

// For terminal and log: control characters (C0, DEL, C1, of direction, line ends of Unicode) and bytes that
// are not UTF-8 become \xHH. Output of more than `limit` bytes is cut and ends with "…".
std::string printable(std::string_view bytes, std::size_t limit = 4096);

// The longest prefix (suffix) of at most `limit` bytes that does not cut a UTF-8 letter; exactly `limit` if
// the bytes around the cut are not UTF-8.
std::string_view utf8_prefix(std::string_view bytes, std::size_t limit);
std::string_view utf8_suffix(std::string_view bytes, std::size_t limit);

// The entry of `known`, all lower-case, that `word` in either case was probably meant to be; empty if there
// is none. It is the nearest by edit distance among those that are at most a third of the longer word away,
// or of which one abbreviates the other ("prio", "retry", "command" for cmd).
std::string_view nearest(std::string_view word, const std::string_view* known, std::size_t count);

// `1 job`, `2 jobs`: adds an s to `noun` unless `count` is 1.
std::string counted(std::uint64_t count, std::string_view noun);

}  // namespace workpool
