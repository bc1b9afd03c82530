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

// How a value is written so that it stays text.
struct ShellPlace {
  enum class Quotes : std::uint8_t { kNone, kDouble, kSingle };
  Quotes around = Quotes::kNone;  // what stands around it already
  bool behind_name = false;       // behind `$NAME`, which it must not lengthen
  bool operator==(const ShellPlace&) const = default;
};

class ShellText {
 public:
  // Reads on in the command.
  void read(std::string_view text);
  // Puts a value here: where it stands, or why none may stand here, for people.
  std::variant<ShellPlace, std::string> place_value();
  // After all of the command: why a value may not stand where one was put, because of what follows it; or "".
  std::string late_problem();

 private:
  enum class In : std::uint8_t { kBare, kDouble, kSingle, kComment };
  void read_letter(char c);
  void read_bare(char c);
  void read_double(char c);
  void end_word();
  void end_command();
  std::string why_not() const;

  In in_ = In::kBare;
  bool escaped_ = false;          // behind a backslash
  char last_ = ' ';               // the letter before; `x` for one that means itself
  bool in_name_ = false;          // in `$NAME`
  int here_ = 0;                  // how many `<` stand directly before
  int arithmetic_ = 0;            // open brackets since `((`; 0 outside
  int expansion_ = 0;             // open braces since `${`; 0 outside
  bool in_substitution_ = false;  // `$(` between double quotes
  std::string unsafe_;            // what has come that we do not follow: no value may stand behind it
  std::string word_;              // the present one, without its quotes
  std::string word_before_;
  std::string command_;         // the first word of the present simple command
  bool in_test_ = false;        // between [[ and ]]
  bool value_in_test_ = false;  // and a value stands there
  std::string late_;
};

// Appends `value`, text for the shell at that place.
void append_shell_value(std::string& out, std::string_view value, const ShellPlace& place);

}  // namespace workpool
