// SPDX-License-Identifier: MIT
// How the command of a job reads.
#pragma once

#include <string>
#include <string_view>

namespace workpool::dispatcher {

// As a person would type it: `./simulate --rate '0.1 %'`, `zcat a.gz | wc -l`, `sha256 {"path":"a.bin"}`.
// `work`: as JobView has it.
std::string command_text(std::string_view work);

// The same in one short printable line: `vipsthumbnail 'a b.jpg' …` if something is left out.
std::string short_command(std::string_view work);

}  // namespace workpool::dispatcher
