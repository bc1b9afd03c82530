// SPDX-License-Identifier: MIT
// Writes a text to a descriptor to its end.
#pragma once

#include <string_view>

#include "common/base/time.h"

namespace workpool {

// Returns 0, or the errno of the write that failed.
int write_all(int fd, std::string_view text);

// The same for what somebody may read from the other end: returns ETIMEDOUT if it takes nothing for `limit`.
// `fd` need not be non-blocking.
int write_all(int fd, std::string_view text, Duration limit);

}  // namespace workpool
