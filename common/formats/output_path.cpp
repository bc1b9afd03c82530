// SPDX-License-Identifier: MIT
#include "common/formats/output_path.h"

#include <algorithm>
#include <cstddef>

namespace workpool {
namespace {

constexpr std::string_view kId = "{id}";
constexpr std::string_view kLine = "{line}";
constexpr std::string_view kAttempt = "{attempt}";
constexpr std::string_view kBrace = "{{";

// The placeholder that begins at `text[0]`, a `{`; empty if none does.
std::string_view placeholder_at(std::string_view text) {
  for (const std::string_view known : {kId, kLine, kAttempt, kBrace}) {
    if (text.starts_with(known)) return known;
  }
  return {};
}

// An id is a name, not a way to other folders.
std::string as_file_name(std::string_view id) {
  std::string name(id);
  std::replace(name.begin(), name.end(), '/', '_');
  if (name.find_first_not_of('.') == std::string::npos) std::replace(name.begin(), name.end(), '.', '_');
  return name;
}

}  // namespace

std::string output_path_fault(std::string_view text) {
  if (text.empty()) return "must not be empty: the path of a file";
  if (text.find('\0') != std::string_view::npos) return "holds a NUL byte: no file can be called so";
  if (text.ends_with('/')) return "ends in `/`: give the path of a file, not of a folder";
  for (std::size_t at = text.find('{'); at != std::string_view::npos; at = text.find('{', at)) {
    const std::string_view found = placeholder_at(text.substr(at));
    if (found.empty()) return "has a `{` that begins none of {id}, {line} and {attempt}: write {{ for {";
    at += found.size();
  }
  return "";
}

bool differs_by_job(std::string_view text) {
  for (std::size_t at = text.find('{'); at != std::string_view::npos; at = text.find('{', at)) {
    const std::string_view found = placeholder_at(text.substr(at));
    if (found == kId || found == kLine) return true;
    at += found.size();
  }
  return false;
}

std::string expanded_output_path(std::string_view text, std::string_view id, std::uint64_t line,
                                 std::uint32_t attempt) {
  std::string path;
  while (!text.empty()) {
    const std::size_t brace = text.find('{');
    path += text.substr(0, brace);
    if (brace == std::string_view::npos) break;
    text.remove_prefix(brace);
    const std::string_view found = placeholder_at(text);
    if (found == kId) path += as_file_name(id);
    if (found == kLine) path += std::to_string(line);
    if (found == kAttempt) path += std::to_string(attempt);
    if (found == kBrace) path += '{';
    text.remove_prefix(found.size());
  }
  return path;
}

bool is_absolute_path(std::string_view path) {
  return path.starts_with('/') && path.find('\0') == std::string_view::npos;
}

}  // namespace workpool
