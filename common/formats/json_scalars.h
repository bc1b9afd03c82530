// SPDX-License-Identifier: MIT
// A small JSON object from another process, flattened: {"a":{"b":1},"c":["x"]} -> a.b = 1, c.0 = x. Strict
// about the grammar, bounded in size and depth; for messages of a few kilobytes, not for job lines. Pure.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace workpool {

// Strings are unescaped; numbers, true, false and null are kept as they were written.
using JsonScalars = std::map<std::string, std::string>;

// Returns nullopt if `text` is not exactly one JSON object that find_json_fault accepts, or if it has more
// than 4 MiB or more than 8 levels inside.
std::optional<JsonScalars> json_scalars(std::string_view text);

}  // namespace workpool
