// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/shell_words.h"

#include <algorithm>
#include <array>

#include "common/base/text.h"

namespace workpool::dispatcher {

namespace {

constexpr std::array<bool, 256> kIsBare = [] {
  std::array<bool, 256> bare{};
  for (const char c :
       std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-"))
    bare[static_cast<unsigned char>(c)] = true;
  return bare;
}();

std::string escaped_word(std::string_view word) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out = "$'";
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '\'' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      out += "\\x";
      out += kDigits[byte >> 4];
      out += kDigits[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace

bool is_bare_word(std::string_view word) {
  return !word.empty() &&
         std::all_of(word.begin(), word.end(), [](char c) { return kIsBare[static_cast<unsigned char>(c)]; });
}

std::string shell_word(std::string_view word) {
  if (is_bare_word(word)) return std::string(word);
  if (printable(word, word.size() * 4 + 16) != word) return escaped_word(word);
  std::string out = "'";
  for (const char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string shell_line(const std::vector<std::string>& words) {
  std::string line;
  for (const std::string& word : words) {
    if (!line.empty()) line += ' ';
    line += shell_word(word);
  }
  return line;
}

std::vector<std::string> command_again(const std::vector<std::string>& command, bool retry_failed,
                                       bool overwrite_variable, std::size_t flags_end) {
  const auto end = command.begin() + static_cast<std::ptrdiff_t>(std::min(flags_end, command.size()));
  // Words after a lone "--" are not flags.
  const auto end_of_flags = std::find(command.begin(), end, "--");
  std::vector<std::string> again;
  for (auto word = command.begin(); word != end_of_flags; ++word) {
    if (*word == "--overwrite" || word->rfind("--overwrite=", 0) == 0) continue;
    if (retry_failed && *word == "--retry-failed") continue;
    again.push_back(*word);
  }
  if (overwrite_variable) again.emplace_back("--overwrite=false");
  if (retry_failed) again.emplace_back("--retry-failed");
  again.insert(again.end(), end_of_flags, command.end());
  return again;
}

std::vector<std::string> without_flag(const std::vector<std::string>& command, const std::string& flag,
                                      std::size_t flags_end) {
  std::vector<std::string> rest;
  const auto end = command.begin() + static_cast<std::ptrdiff_t>(std::min(flags_end, command.size()));
  const auto end_of_flags = std::find(command.begin(), end, "--");
  for (auto word = command.begin(); word != command.end(); ++word) {
    const bool may_be_it = word < end_of_flags;
    if (may_be_it && *word == flag && word + 1 != command.end()) {
      ++word;
    } else if (!may_be_it || word->rfind(flag + "=", 0) != 0) {
      rest.push_back(*word);
    }
  }
  return rest;
}

}  // namespace workpool::dispatcher
