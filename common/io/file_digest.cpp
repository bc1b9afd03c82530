// SPDX-License-Identifier: MIT
#include "common/io/file_digest.h"

#define XXH_INLINE_ALL
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <new>
#include <string>

namespace workpool {
namespace {

constexpr std::size_t kPieceBytes = 256 * 1024;

struct FreeState {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

}  // namespace

FileDigest digest_of_file(int fd, const std::function<bool(std::string_view)>& take,
                          std::uint64_t bytes_most) {
  const std::unique_ptr<XXH3_state_t, FreeState> state(XXH3_createState());
  if (state == nullptr) throw std::bad_alloc();
  XXH3_128bits_reset(state.get());
  FileDigest read;
  std::string piece(kPieceBytes, '\0');
  while (read.bytes < bytes_most) {
    const std::size_t wanted = std::min<std::uint64_t>(piece.size(), bytes_most - read.bytes);
    const ssize_t count = ::pread(fd, piece.data(), wanted, static_cast<off_t>(read.bytes));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      read.error = errno;
      return read;
    }
    if (count == 0) break;
    const std::string_view bytes(piece.data(), static_cast<std::size_t>(count));
    XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
    read.bytes += bytes.size();
    if (take && !take(bytes)) break;
  }
  const XXH128_hash_t digest = XXH3_128bits_digest(state.get());
  read.digest = {digest.high64, digest.low64};  // as in common/base/ids.cpp
  return read;
}

}  // namespace workpool
