// SPDX-License-Identifier: MIT
// How the command of a job reads.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace workpool::dispatcher {

// Whether the id was made from the work: 32 hex digits, perhaps with #2. It says nothing to people.
bool is_digest(std::string_view id);
// The shortest that names a job: its values of `each` (`name`), else its id if it was given, else its line.
std::string short_place(std::string_view id, std::string_view name, std::uint64_t line);

// As a person would type it: `./simulate --rate '0.1 %'`, `zcat a.gz | wc -l`, `sha256 {"path":"a.bin"}`.
// `work`: as JobView has it.
std::string command_text(std::string_view work);

// The same in one short printable line: `vipsthumbnail 'a b.jpg' …` if something is left out.
std::string short_command(std::string_view work);

}  // namespace workpool::dispatcher
