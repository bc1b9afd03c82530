// SPDX-License-Identifier: MIT
// How wide a text is on a terminal. Pure.
#pragma once

#include <cstddef>
#include <string>

namespace workpool::dispatcher {

// How many columns UTF-8 text takes, each letter counted as one.
std::size_t letters_in(const std::string& text);
// Cut to `columns` letters, the last one "…" if something is missing.
std::string fit(const std::string& text, std::size_t columns);

}  // namespace workpool::dispatcher
