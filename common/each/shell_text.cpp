// SPDX-License-Identifier: MIT
#include "common/each/shell_text.h"

#include <algorithm>
#include <array>
#include <utility>

namespace workpool {
namespace {

// Digits alone would be a descriptor before `<` or `>`.
bool needs_no_quotes(std::string_view value) {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  return !std::all_of(value.begin(), value.end(), is_digit) &&
         std::all_of(value.begin(), value.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
                  c == '-' || c == '.' || c == '/';
         });
}

bool starts_word_behind(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == ';' || c == '&' || c == '|' || c == '(' || c == ')';
}

template <std::size_t kCount>
bool is_one_of(std::string_view word, const std::array<std::string_view, kCount>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Commands that read their arguments as shell text, arithmetic or names: no quoting keeps a value text there.
constexpr std::array<std::string_view, 11> kReadersOfText = {
    "eval", "trap", "let", "declare", "typeset", "unset", "read", "mapfile", "readarray", "getopts", "alias"};
// Words before a command.
constexpr std::array<std::string_view, 13> kBeforeACommand = {
    "{", "!", "if", "then", "elif", "else", "while", "until", "do", "time", "exec", "command", "builtin"};
constexpr std::array<std::string_view, 6> kComparisons = {"-eq", "-ne", "-lt", "-le", "-gt", "-ge"};

bool is_name_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

// `x=1` before a command, or alone.
bool is_assignment(std::string_view word) {
  const std::size_t equals = word.find('=');
  return equals != std::string_view::npos && equals > 0 &&
         std::all_of(word.begin(), word.begin() + static_cast<std::ptrdiff_t>(equals), is_name_letter);
}

void append_between_single_quotes(std::string& out, std::string_view value) {
  for (const char c : value) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
}

}  // namespace

void ShellText::end_word() {
  if (word_.empty()) return;
  if (word_ == "[[") in_test_ = true;
  if (word_ == "]]") in_test_ = value_in_test_ = false;
  if (value_in_test_ && is_one_of(word_, kComparisons)) late_ = "in an arithmetic comparison of [[ ]]";
  if (command_.empty() && !is_one_of(word_, kBeforeACommand) && !is_assignment(word_)) command_ = word_;
  word_before_ = std::exchange(word_, {});
}

void ShellText::end_command() {
  end_word();
  if (in_test_) return;  // brackets and && there are its own
  command_.clear();
  word_before_.clear();
}

void ShellText::read_bare(char c) {
  if (c == ' ' || c == '\t') {
    end_word();
  } else if (c == ';' || c == '&' || c == '|' || c == '(' || c == ')' || c == '\n') {
    end_command();
  } else if (c != '\'' && c != '"' && c != '\\') {
    word_ += c;
  }
  if (arithmetic_ > 0) arithmetic_ += c == '(' ? 1 : c == ')' ? -1 : 0;
  if (arithmetic_ == 0 && c == '(' && last_ == '(') arithmetic_ = 2;
  // `<<<` begins no here-document.
  if (c != '<' && here_ == 2 && arithmetic_ == 0) unsafe_ = "a here-document (<<)";
  here_ = c == '<' ? here_ + 1 : 0;
  if (expansion_ > 0) expansion_ += c == '{' ? 1 : c == '}' ? -1 : 0;
  if (expansion_ == 0 && c == '{' && last_ == '$') expansion_ = 1;
  if (c == '\\') {
    escaped_ = true;
  } else if (c == '\'' && last_ == '$') {
    unsafe_ = "$'…'";
  } else if (c == '\'') {
    in_ = In::kSingle;
  } else if (c == '"') {
    in_ = In::kDouble;
  } else if (c == '`') {
    unsafe_ = "a backtick; use $(…)";
  } else if (c == '[' && last_ == '$') {
    unsafe_ = "$[…]";
  } else if (c == '#' && starts_word_behind(last_)) {
    in_ = In::kComment;
  }
}

// Of what is nested here only the simplest is followed, as in "${name}" and "$(date)".
void ShellText::read_double(char c) {
  const bool is_nested = expansion_ > 0 || in_substitution_;
  const bool is_odd =
      c == '"' || c == '\'' || c == '\\' || c == '#' || c == '(' || c == '{' || c == '`' || c == '[';
  if (is_nested && is_odd) {
    unsafe_ = expansion_ > 0 ? "\"${…}\" with more than a name in it" : "\"$(…)\" with quotes in it";
  } else if (expansion_ > 0) {
    if (c == '}') expansion_ = 0;
  } else if (in_substitution_) {
    if (c == ')') in_substitution_ = false;
  } else if (c == '\\') {
    escaped_ = true;
  } else if (c == '"') {
    in_ = In::kBare;
  } else if (c == '`') {
    unsafe_ = "a backtick; use $(…)";
  } else if (last_ == '$' && c == '{') {
    expansion_ = 1;
  } else if (last_ == '$' && c == '(') {
    in_substitution_ = true;
  } else if (last_ == '$' && c == '[') {
    unsafe_ = "$[…]";
  }
}

void ShellText::read_letter(char c) {
  if (in_ == In::kSingle) {
    if (c == '\'') {
      in_ = In::kBare;
    } else {
      word_ += c;
    }
    last_ = 'x';
  } else if (in_ == In::kComment) {
    if (c == '\n') in_ = In::kBare;
    if (c == '\n') end_command();
    last_ = c;
  } else if (escaped_) {
    escaped_ = false;
    word_ += c;
    last_ = 'x';
  } else if (in_ == In::kDouble) {
    if (c != '"') word_ += c;
    read_double(c);
    last_ = c;
  } else {
    read_bare(c);
    last_ = c;
  }
}

void ShellText::read(std::string_view text) {
  for (const char c : text) {
    const bool follows = in_ != In::kSingle && in_ != In::kComment && !escaped_;
    const bool goes_on = (in_name_ || last_ == '$') && is_name_letter(c);
    read_letter(c);
    in_name_ = follows && goes_on;
  }
}

// Where a value would stand, if none may stand there; else "".
std::string ShellText::why_not() const {
  if (here_ == 2) return "in a here-document (<<)";
  if (!unsafe_.empty()) return "behind " + unsafe_;
  if (arithmetic_ > 0) return "in arithmetic ((…))";
  if (expansion_ > 0) return "in ${…}";
  if (in_substitution_) return "in \"$(…)\"; leave out those quotes";
  if (in_ == In::kComment) return "in a comment";
  if (escaped_) return "behind a backslash";
  if (last_ == '$') return "behind $";
  if (is_one_of(command_, kReadersOfText)) return "of `" + command_ + "`";
  const bool tests = in_test_ || command_ == "test" || command_ == "[" || command_ == "printf";
  if (tests && word_before_ == "-v") return "behind -v";
  if (in_test_ && is_one_of(word_before_, kComparisons)) return "in an arithmetic comparison of [[ ]]";
  const std::size_t size = word_.size();
  if (size > 1 && word_[size - 1] == '[' && is_name_letter(word_[size - 2])) return "in a subscript";
  return "";
}

std::variant<ShellPlace, std::string> ShellText::place_value() {
  if (const std::string where = why_not(); !where.empty())
    return "a placeholder " + where + ": the shell might run a part of a value";
  ShellPlace place;
  if (in_ == In::kSingle) place.around = ShellPlace::Quotes::kSingle;
  if (in_ == In::kDouble) place.around = ShellPlace::Quotes::kDouble;
  place.behind_name = in_name_ && in_ != In::kSingle;
  value_in_test_ = in_test_;
  // From here on it is a letter like others.
  word_ += '_';
  last_ = 'x';
  here_ = 0;
  in_name_ = false;
  return place;
}

std::string ShellText::late_problem() {
  end_word();
  return late_.empty() ? "" : "a placeholder " + late_ + ": the shell might run a part of a value";
}

void append_shell_value(std::string& out, std::string_view value, const ShellPlace& place) {
  switch (place.around) {
    case ShellPlace::Quotes::kNone:
      if (!place.behind_name && needs_no_quotes(value)) {
        out += value;
      } else {
        out += '\'';
        append_between_single_quotes(out, value);
        out += '\'';
      }
      break;
    case ShellPlace::Quotes::kSingle:
      append_between_single_quotes(out, value);
      break;
    case ShellPlace::Quotes::kDouble:
      if (place.behind_name) out += "\"\"";
      for (const char c : value) {
        if (c == '\\' || c == '"' || c == '$' || c == '`') out += '\\';
        out += c;
      }
      break;
  }
}

}  // namespace workpool
