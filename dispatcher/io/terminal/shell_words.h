// SPDX-License-Identifier: MIT
// Command lines for people to paste.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace workpool::dispatcher {

// Whether a shell takes `word` as it is, without quotes.
bool is_bare_word(std::string_view word);
// `word` as a shell needs it: without quotes if that is safe, else in single quotes. A word with control
// characters or bytes that are not UTF-8 is put in $'…', so that showing it never acts on the terminal.
std::string shell_word(std::string_view word);
std::string shell_line(const std::vector<std::string>& words);

// The command (argv as given) that continues the same run: without --overwrite, which would throw its results
// away, and with --retry-failed if asked for. `overwrite_variable`: the environment has WORKPOOL_OVERWRITE,
// which has to be overruled. `flags_end`: flags are among the words before this one; what follows is another
// command.
std::vector<std::string> command_again(const std::vector<std::string>& command, bool retry_failed,
                                       bool overwrite_variable, std::size_t flags_end = SIZE_MAX);

}  // namespace workpool::dispatcher
