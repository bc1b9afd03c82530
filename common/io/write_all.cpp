// SPDX-License-Identifier: MIT
#include "common/io/write_all.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace workpool {

int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

int write_all(int fd, std::string_view text, Duration limit) {
  const int limit_ms = static_cast<int>(std::chrono::duration_cast<milliseconds>(limit).count());
  while (!text.empty()) {
    pollfd ready{fd, POLLOUT, 0};
    const int polled = ::poll(&ready, 1, limit_ms);
    if (polled == 0) return ETIMEDOUT;
    if (polled < 0 && errno != EINTR) return errno;
    if (polled < 0) continue;
    // A pipe that polls writable takes this much without blocking.
    const ssize_t written = ::write(fd, text.data(), std::min<std::size_t>(text.size(), PIPE_BUF));
    if (written < 0 && errno != EINTR && errno != EAGAIN) return errno;
    if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

}  // namespace workpool
