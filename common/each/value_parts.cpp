// SPDX-License-Identifier: MIT
#include "common/each/value_parts.h"

#include <algorithm>

namespace workpool {
namespace {

constexpr std::size_t kNone = std::string_view::npos;

std::string_view without_slashes_at_end(std::string_view value) {
  const std::size_t last = value.find_last_not_of('/');
  return last == kNone ? value.substr(0, std::min<std::size_t>(value.size(), 1)) : value.substr(0, last + 1);
}

std::string_view name_of_path(std::string_view value) {
  value = without_slashes_at_end(value);
  return value == "/" ? value : value.substr(value.rfind('/') + 1);
}

std::string_view folder_of(std::string_view value) {
  value = without_slashes_at_end(value);
  const std::size_t slash = value.rfind('/');
  if (slash == kNone) return ".";
  return without_slashes_at_end(value.substr(0, slash + 1));
}

std::string_view without_ending(std::string_view value) {
  const std::size_t name = value.rfind('/') + 1;  // 0 if there is no slash
  const std::size_t dot = value.rfind('.');
  return dot == kNone || dot <= name ? value : value.substr(0, dot);
}

}  // namespace

std::optional<ValuePart> value_part_named(std::string_view suffix) {
  if (suffix.empty()) return ValuePart::kWhole;
  if (suffix == ".") return ValuePart::kWithoutEnding;
  if (suffix == "/") return ValuePart::kName;
  if (suffix == "//") return ValuePart::kFolder;
  if (suffix == "/.") return ValuePart::kNameWithoutEnding;
  return std::nullopt;
}

std::string_view part_of(std::string_view value, ValuePart part) {
  switch (part) {
    case ValuePart::kWhole:
      return value;
    case ValuePart::kWithoutEnding:
      return without_ending(value);
    case ValuePart::kName:
      return name_of_path(value);
    case ValuePart::kFolder:
      return folder_of(value);
    case ValuePart::kNameWithoutEnding:
      return without_ending(name_of_path(value));
  }
  return value;
}

}  // namespace workpool
