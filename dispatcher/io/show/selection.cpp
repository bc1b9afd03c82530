// SPDX-License-Identifier: MIT
#include "dispatcher/io/show/selection.h"

#include <fnmatch.h>

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace workpool::dispatcher {
namespace {

std::optional<std::uint64_t> line_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || text.empty()) return std::nullopt;
  return number;
}

struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

// "12" or "12-20".
std::optional<Range> range_in(std::string_view text) {
  const std::size_t dash = text.find('-');
  const auto first = line_number(text.substr(0, dash));
  const auto last = dash == std::string_view::npos ? first : line_number(text.substr(dash + 1));
  if (!first || !last) return std::nullopt;
  return Range{*first, *last};
}

}  // namespace

Selection::Selection(const std::vector<std::string>& wanted, const std::vector<Status>& statuses)
    : wanted_(wanted), matched_(wanted.size()) {
  for (const Status status : statuses) statuses_ |= 1U << bit(status);
  for (std::size_t i = 0; i < wanted_.size(); ++i) {
    const std::string& text = wanted_[i];
    const auto range = text.starts_with(':') ? range_in(std::string_view(text).substr(1)) : std::nullopt;
    if (range) {
      lines_.push_back({range->first, range->last, i});
      continue;
    }
    ids_.emplace(text, i);  // also a pattern: an id may look like one
    if (text.find_first_of("*?[") != std::string::npos) patterns_.push_back(i);
  }
}

bool Selection::takes_id(const std::string& id) {
  bool taken = false;
  if (const auto place = ids_.find(id); place != ids_.end()) {
    matched_[place->second] = true;
    taken = true;
  }
  for (const std::size_t i : patterns_) {
    if (fnmatch(wanted_[i].c_str(), id.c_str(), 0) != 0) continue;
    matched_[i] = true;
    taken = true;
  }
  return taken;
}

void Selection::settle() {
  for (std::size_t i = 0; i < wanted_.size(); ++i) {
    const auto line = matched_[i] ? std::nullopt : line_number(wanted_[i]);
    if (line) lines_.push_back({*line, *line, i});
  }
}

bool Selection::takes_line(std::uint64_t line) {
  bool taken = false;
  for (const Lines& lines : lines_) {
    if (line < lines.first || line > lines.last) continue;
    matched_[lines.wanted] = true;
    taken = true;
  }
  return taken;
}

std::vector<std::string> Selection::unmatched() const {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < wanted_.size(); ++i) {
    // The same text twice is known by its first place.
    if (!matched_[i] && !(ids_.contains(wanted_[i]) && matched_[ids_.at(wanted_[i])]))
      texts.push_back(wanted_[i]);
  }
  return texts;
}

}  // namespace workpool::dispatcher
