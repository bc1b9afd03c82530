// SPDX-License-Identifier: MIT
// The parts of a value that placeholders ask for, seen as a path: `{.}`, `{/}`, `{//}`, `{/.}`. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace workpool {

enum class ValuePart : std::uint8_t {
  kWhole,             // {}     photos/a.b.jpg
  kWithoutEnding,     // {.}    photos/a.b
  kName,              // {/}    a.b.jpg
  kFolder,            // {//}   photos; `.` if there is no slash
  kNameWithoutEnding  // {/.}   a.b
};

// `suffix`: what stands behind the name in a placeholder: "", ".", "/", "//" or "/.". Returns nullopt
// otherwise.
std::optional<ValuePart> value_part_named(std::string_view suffix);

// A part of `value`, or `.`. A dot at the start of a file's name begins no ending, and slashes at the end of
// a value are no part of its name.
std::string_view part_of(std::string_view value, ValuePart part);

}  // namespace workpool
