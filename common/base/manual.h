// SPDX-License-Identifier: MIT
// What else is made of a command's table, so that it cannot disagree with --help: its section of the manual
// page, and the list of its flags that shells complete from. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/base/flags.h"

namespace workpool {

// The head of a page in section 1, in the format of man(7). `summary`: one line, without a full stop.
std::string manual_head(std::string_view name, std::string_view summary, std::string_view version);
// One section: usage, summary, flags, examples and exit codes.
std::string manual_section(const CommandTable& table);

// A line for each flag and each of its names: the name, what its value is called (empty for a switch) and its
// help, with tabs between them.
std::string flag_list(const CommandTable& table);

// A script for `shell` ("bash", "zsh" or "fish") that completes commands, flags and the words that a flag
// takes; "" for any other shell. It asks the program itself for the flags (--list-flags), so that it never
// ages.
std::string completion_script(std::string_view shell, const std::vector<std::string_view>& commands);

}  // namespace workpool
