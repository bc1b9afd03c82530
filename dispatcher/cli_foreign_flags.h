// SPDX-License-Identifier: MIT
// The words of a command line before another command begins: which of them are flags, and which flags of
// other tools somebody has typed out of habit.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/base/flags.h"

namespace workpool::dispatcher {

// How many words are flags with their values, up to the first word that is none, or `--`.
std::size_t flag_words(const CommandTable& table, const std::vector<std::string>& words);

// What to say about the first of `words`, all flags, that the table does not have, if it is one of GNU
// parallel or xargs; else "".
std::string foreign_flag(const CommandTable& table, const std::vector<std::string>& words);

}  // namespace workpool::dispatcher
