// SPDX-License-Identifier: MIT
#include "worker/handlers/sha256.h"

#include <fcntl.h>
#include <sodium/crypto_hash_sha256.h>
#include <sodium/utils.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "common/io/descriptor.h"

namespace workpool::worker {
namespace {

// Hashed in about a millisecond, after which the stop token is asked again.
constexpr std::size_t kPieceBytes = 128 * 1024;

[[noreturn]] void fail(const std::string& path, const char* why) { throw HandlerError(path + ": " + why); }

class Hasher {
 public:
  Hasher() { crypto_hash_sha256_init(&state_); }
  void add(const void* data, std::size_t size) {
    crypto_hash_sha256_update(&state_, static_cast<const unsigned char*>(data), size);
  }
  std::string digest() {
    unsigned char bytes[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_final(&state_, bytes);
    char text[sizeof bytes * 2 + 1];
    sodium_bin2hex(text, sizeof text, bytes, sizeof bytes);
    return text;
  }

 private:
  crypto_hash_sha256_state state_;
};

}  // namespace

std::string sha256_of_text(std::string_view text) {
  Hasher hasher;
  hasher.add(text.data(), text.size());
  return hasher.digest();
}

std::string sha256_of_file(const std::string& path, const StopToken& stop) {
  if (path.find('\0') != std::string::npos) throw HandlerError("args: \"path\" must not hold a NUL");
  // O_NONBLOCK: opening a FIFO would otherwise wait for a writer and not notice the token.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.is_open()) fail(path, ::strerrordesc_np(errno));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) fail(path, ::strerrordesc_np(errno));
  if (S_ISDIR(info.st_mode)) fail(path, ::strerrordesc_np(EISDIR));
  if (!S_ISREG(info.st_mode)) fail(path, "not a regular file");
  Hasher hasher;
  std::vector<char> piece(kPieceBytes);
  while (true) {
    if (stop.is_stopped()) fail(path, "stopped before its end was read");
    const ssize_t size = ::read(file.get(), piece.data(), piece.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) fail(path, ::strerrordesc_np(errno));
    if (size == 0) return hasher.digest();
    hasher.add(piece.data(), static_cast<std::size_t>(size));
  }
}

}  // namespace workpool::worker
