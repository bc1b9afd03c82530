// SPDX-License-Identifier: MIT
// Which addresses may be used without keys: loopback ones, and any other only where --insecure is spelled out
// (architecture.md §6). Pure. A name is judged once it has resolved.
#pragma once

#include <string>

namespace workpool {

// `literal`: an IPv4 or IPv6 address without brackets, or `*`. One line that says what to do, or "" where it
// may be listened on (dialled).
std::string refusal_to_listen(const std::string& literal, bool insecure);
std::string refusal_to_dial(const std::string& literal, bool insecure);

}  // namespace workpool
