// SPDX-License-Identifier: MIT
#include "common/formats/handler_program.h"

#include <algorithm>

#include "common/formats/job_line_limits.h"

namespace workpool {
namespace {

constexpr std::string_view kBlanks = " \t";

bool is_plain_letter(char letter) {
  const bool alphanumeric = (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                            (letter >= '0' && letter <= '9');
  return alphanumeric || std::string_view("_-./:,+@%=").find(letter) != std::string_view::npos;
}

// Words that only a shell knows, although they look like programs.
bool is_of_the_shell(std::string_view word) {
  static constexpr std::array<std::string_view, 14> kWords = {".",    ":",    "cd",     "command", "eval",
                                                              "exec", "exit", "for",    "until",   "while",
                                                              "if",   "set",  "ulimit", "umask"};
  return std::find(kWords.begin(), kWords.end(), word) != kWords.end();
}

}  // namespace

std::string wrong_with_handler_name(std::string_view name) {
  if (!is_handler_name(name))
    return "has a name that cannot be the type of a job: it must be 1 to 64 letters, digits, `_`, `.` or `-`";
  if (std::find(kBuiltinHandlers.begin(), kBuiltinHandlers.end(), name) != kBuiltinHandlers.end())
    return "takes the name of a handler that every worker has (" + std::string(name) +
           "): choose another name";
  return "";
}

std::string add_handler_program(const std::string& text, std::vector<HandlerProgram>& programs) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos) return "is not NAME=COMMAND, such as embed='python3 embed.py'";
  HandlerProgram program{text.substr(0, equals), text.substr(equals + 1)};
  if (std::string wrong = wrong_with_handler_name(program.name); !wrong.empty()) return wrong;
  const auto same = [&](const HandlerProgram& other) { return other.name == program.name; };
  if (std::any_of(programs.begin(), programs.end(), same))
    return "gives the handler " + program.name + " a second time";
  if (program.command.find_first_not_of(" \t\n") == std::string::npos)
    return "has no command: write NAME=COMMAND, such as embed='python3 embed.py'";
  if (program.command.size() > kArgumentBytesMax)
    return "is too long: a command has at most " + std::to_string(kArgumentBytesMax) + " bytes";
  programs.push_back(std::move(program));
  return "";
}

std::optional<std::vector<std::string>> plain_words(std::string_view command) {
  std::vector<std::string> words;
  for (std::size_t at = 0; (at = command.find_first_not_of(kBlanks, at)) != std::string_view::npos;) {
    const std::size_t end = std::min(command.find_first_of(kBlanks, at), command.size());
    const std::string_view word = command.substr(at, end - at);
    if (!std::all_of(word.begin(), word.end(), is_plain_letter)) return std::nullopt;
    words.emplace_back(word);
    at = end;
  }
  // `A=b program` sets a variable.
  if (words.empty() || words[0].find('=') != std::string::npos || is_of_the_shell(words[0]))
    return std::nullopt;
  return words;
}

std::vector<std::string> arguments_of(const HandlerProgram& program) {
  if (auto words = plain_words(program.command)) return *std::move(words);
  std::vector<std::string> arguments = {"/bin/sh", "-c"};
  if (program.command.starts_with('-') || program.command.starts_with('+')) arguments.emplace_back("--");
  arguments.push_back(program.command);
  return arguments;
}

}  // namespace workpool
