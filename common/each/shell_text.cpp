// SPDX-License-Identifier: MIT
#include "common/each/shell_text.h"

#include <algorithm>

namespace workpool {
namespace {

bool needs_no_quotes(std::string_view value) {
  return !value.empty() && std::all_of(value.begin(), value.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.' || c == '/' || c == ',' || c == ':' || c == '+' || c == '@' || c == '%';
  });
}

bool starts_word_behind(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == ';' || c == '&' || c == '|' || c == '(' || c == ')';
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

void ShellText::read_bare(char c) {
  if (arithmetic_ > 0) arithmetic_ += c == '(' ? 1 : c == ')' ? -1 : 0;
  if (arithmetic_ == 0 && c == '(' && last_ == '(') arithmetic_ = 2;
  // `<<<` begins no here-document.
  if (c != '<' && here_ == 2) in_here_document_ = true;
  here_ = c == '<' ? here_ + 1 : 0;
  if (c == '\\') {
    escaped_ = true;
  } else if (c == '\'') {
    in_ = last_ == '$' ? In::kAnsi : In::kSingle;
  } else if (c == '"') {
    in_ = In::kDouble;
  } else if (c == '`') {
    in_backticks_ = !in_backticks_;
  } else if (c == '#' && starts_word_behind(last_)) {
    in_ = In::kComment;
  }
}

void ShellText::read_double(char c) {
  if (c == '\\') {
    escaped_ = true;
  } else if (c == '"') {
    in_ = In::kBare;
  } else if (c == '`' || (c == '(' && last_ == '$')) {
    in_substitution_ = true;
  }
}

void ShellText::read(std::string_view text) {
  for (const char c : text) {
    if (in_ == In::kSingle) {
      if (c == '\'') in_ = In::kBare;
    } else if (in_ == In::kComment) {
      if (c == '\n') in_ = In::kBare;
    } else if (escaped_) {
      escaped_ = false;
    } else if (in_ == In::kAnsi) {
      escaped_ = c == '\\';
      if (c == '\'') in_ = In::kBare;
    } else if (in_ == In::kDouble) {
      read_double(c);
    } else {
      read_bare(c);
    }
    last_ = c;
  }
}

std::variant<ShellPlace, std::string> ShellText::place_of_value() const {
  const auto refuse = [](const std::string& where) {
    return "a placeholder " + where + ": the shell might run a part of a value";
  };
  if (in_here_document_ || here_ == 2) return refuse("in a here-document (<<)");
  if (in_backticks_) return refuse("between backticks; use $(…)");
  if (arithmetic_ > 0) return refuse("in arithmetic ((…))");
  if (in_substitution_)
    return refuse("in a command substitution between double quotes; set a variable first, x={}");
  if (in_ == In::kAnsi) return refuse("between $'…'");
  if (in_ == In::kComment) return refuse("in a comment");
  if (escaped_) return refuse("behind a backslash");
  if (in_ == In::kSingle) return ShellPlace::kSingle;
  return in_ == In::kDouble ? ShellPlace::kDouble : ShellPlace::kBare;
}

void append_shell_value(std::string& out, std::string_view value, ShellPlace place) {
  if (place == ShellPlace::kBare && needs_no_quotes(value)) {
    out += value;
  } else if (place == ShellPlace::kBare) {
    out += '\'';
    append_between_single_quotes(out, value);
    out += '\'';
  } else if (place == ShellPlace::kSingle) {
    append_between_single_quotes(out, value);
  } else {
    for (const char c : value) {
      if (c == '\\' || c == '"' || c == '$' || c == '`') out += '\\';
      out += c;
    }
  }
}

}  // namespace workpool
