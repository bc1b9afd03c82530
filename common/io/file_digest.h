// SPDX-License-Identifier: MIT
// XXH3-128 of a file's content, as `xxhsum -H128` prints it.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "common/base/ids.h"

namespace workpool {

struct FileDigest {
  int error = 0;            // errno; the others mean nothing then
  std::uint64_t bytes = 0;  // that were read, from its beginning
  Hash128 digest;
};

// Reads the file in pieces, in constant memory, without moving its position, and nothing beyond `bytes_most`.
// `take`: gets each piece; if it returns false, no more is read.
FileDigest digest_of_file(int fd, const std::function<bool(std::string_view)>& take = nullptr,
                          std::uint64_t bytes_most = UINT64_MAX);

}  // namespace workpool
