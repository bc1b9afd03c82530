// SPDX-License-Identifier: MIT
// A handler that a program runs: what `--handler NAME=COMMAND` says (docs/handlers.md). Pure.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/flags.h"

namespace workpool {

struct HandlerProgram {
  std::string name;     // the `type` of its jobs
  std::string command;  // as typed
};

// The handlers that every worker has; sorted. A program cannot take their names.
inline constexpr std::array<std::string_view, 5> kBuiltinHandlers = {"echo", "fail", "noop", "sha256",
                                                                     "sleep"};

// What is wrong with the name of a handler that is to be added to the built-in ones, for people, or "".
std::string wrong_with_handler_name(std::string_view name);

// Reads NAME=COMMAND and adds it to `programs`. Returns what is wrong with it, for people, or "".
std::string add_handler_program(const std::string& text, std::vector<HandlerProgram>& programs);

// The same for a table of flags. `programs` outlives it.
inline Setter add_handler(std::vector<HandlerProgram>& programs) {
  return [&programs](const std::string& text) { return add_handler_program(text, programs); };
}

// The words of a command in which a shell would change nothing: letters, digits and a few signs, divided by
// blanks. Returns nullopt if a shell has to read it.
std::optional<std::vector<std::string>> plain_words(std::string_view command);

// What is executed: the words themselves, or /bin/sh with the command.
std::vector<std::string> arguments_of(const HandlerProgram& program);

}  // namespace workpool
