// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/letters.h"

#include <algorithm>

namespace workpool::dispatcher {

namespace {

bool starts_letter(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

}  // namespace

std::size_t letters_in(const std::string& text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), starts_letter));
}

std::string fit(const std::string& text, std::size_t columns) {
  if (letters_in(text) <= columns) return text;
  if (columns == 0) return "";
  std::size_t seen = 0;
  std::size_t end = 0;
  while (end < text.size() && !(starts_letter(text[end]) && seen == columns - 1))
    seen += starts_letter(text[end++]) ? 1 : 0;
  return text.substr(0, end) + "…";
}

}  // namespace workpool::dispatcher
