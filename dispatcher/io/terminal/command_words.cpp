// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/command_words.h"

#include <algorithm>
#include <cstddef>

#include "common/base/text.h"
#include "common/formats/json_text.h"
#include "common/formats/result_view.h"
#include "dispatcher/io/terminal/letters.h"
#include "dispatcher/io/terminal/shell_words.h"

namespace workpool::dispatcher {
namespace {

// Enough to tell one command of a list from another; the reason still fits on the line.
constexpr std::size_t kShortLetters = 60;
// A cut is made between words if that leaves so much.
constexpr std::size_t kShortLeast = 20;
constexpr std::size_t kPlaceLetters = 30;

// `array`: compact.
std::string words_in(std::string_view array) {
  std::string line;
  line.reserve(array.size());
  for (std::size_t at = 1; at < array.size() && array[at] == '"';) {
    const std::size_t end = json_string_end(array, at);
    if (at > 1) line += ' ';
    const std::string_view quoted = array.substr(at, end - at);
    // Most words need neither an escape in JSON nor quotes in a shell.
    if (const std::string_view inside = quoted.substr(1, quoted.size() - 2); is_bare_word(inside)) {
      line += inside;
    } else {
      line += shell_word(text_in(quoted));
    }
    at = end + 1;
  }
  return line;
}

// Where the last word begins that starts within `most` bytes: a blank outside of single quotes.
std::size_t last_gap(std::string_view text, std::size_t most) {
  std::size_t gap = 0;
  bool quoted = false;
  for (std::size_t at = 0; at < text.size() && at <= most; ++at) {
    if (text[at] == '\\' && !quoted) {
      ++at;
    } else if (text[at] == '\'') {
      quoted = !quoted;
    } else if (text[at] == ' ' && !quoted) {
      gap = at;
    }
  }
  return gap;
}

}  // namespace

bool is_digest(std::string_view id) {
  constexpr std::size_t kDigits = 32;
  return id.size() >= kDigits && (id.size() == kDigits || id[kDigits] == '#') &&
         id.substr(0, kDigits).find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string short_place(std::string_view id, std::string_view name, std::uint64_t line) {
  if (name.empty() && (id.empty() || is_digest(id))) return "line " + std::to_string(line);
  return "'" + fit(printable(name.empty() ? id : name, 4 * kPlaceLetters), kPlaceLetters) + "'";
}

std::string command_text(std::string_view work) {
  std::string text;
  visit_json_members(work.substr(0, work.size() - 1), [&text](std::string_view key, std::string_view value) {
    if (key == "\"cmd\"") text = value.front() == '[' ? words_in(value) : text_in(value);
    if (key == "\"type\"") text = text_in(value);
    if (key == "\"args\"") text.append(" ").append(value);
    return true;
  });
  return text;
}

std::string short_command(std::string_view work) {
  std::string text = command_text(work);
  text.erase(0, std::min(text.find_first_not_of(" \t\n"), text.size()));
  const std::string line = text.substr(0, text.find('\n'));
  const std::string shown = printable(line, 4 * kShortLetters);
  if (letters_in(shown) <= kShortLetters) return shown + (line.size() < text.size() ? " …" : "");
  const std::size_t gap = last_gap(shown, kShortLetters - 2);
  return gap >= kShortLeast ? shown.substr(0, gap) + " …" : fit(shown, kShortLetters);
}

}  // namespace workpool::dispatcher
