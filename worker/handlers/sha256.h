// SPDX-License-Identifier: MIT
// SHA-256 by libsodium.
#pragma once

#include <string>
#include <string_view>

#include "worker/handlers/handler.h"

namespace workpool::worker {

// 64 lower-case hex digits.
std::string sha256_of_text(std::string_view text);
// The digest of a regular file, read piece by piece. Throws HandlerError naming the file and the system's
// reason, or when stopped.
std::string sha256_of_file(const std::string& path, const StopToken& stop);

}  // namespace workpool::worker
