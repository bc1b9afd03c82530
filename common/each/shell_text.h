// SPDX-License-Identifier: MIT
// Finds out where in a shell command a value would stand, and puts it there so that the shell takes it as
// text whatever it holds. Understands as much of the shell's grammar as that needs, and refuses places that
// no quoting makes safe. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace workpool {

enum class ShellPlace : std::uint8_t {
  kBare,    // outside of quotes: the value becomes a word, or a part of one
  kDouble,  // between double quotes
  kSingle   // between single quotes
};

class ShellText {
 public:
  // Reads on in the command.
  void read(std::string_view text);
  // Where a value would stand now, or why none may stand here, for people.
  std::variant<ShellPlace, std::string> place_of_value() const;

 private:
  enum class In : std::uint8_t { kBare, kDouble, kSingle, kAnsi, kComment };
  void read_bare(char c);
  void read_double(char c);

  In in_ = In::kBare;
  bool escaped_ = false;  // behind a backslash
  char last_ = ' ';       // the letter before, outside of single quotes
  int here_ = 0;          // how many `<` stand directly before
  bool in_here_document_ = false;
  bool in_backticks_ = false;
  bool in_substitution_ = false;  // `$(` between double quotes, which are not followed any further
  int arithmetic_ = 0;            // open brackets since `((`; 0 outside
};

// Appends `value`, text for the shell at that place.
void append_shell_value(std::string& out, std::string_view value, ShellPlace place);

}  // namespace workpool
