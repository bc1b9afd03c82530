// SPDX-License-Identifier: MIT
#include "common/io/bounded_lines.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <system_error>

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kBlockBytes = 256 << 10;
constexpr std::size_t kGuessBytes = 512;  // of a line whose end nobody knows

}  // namespace

std::int64_t read_at(int fd, char* to, std::size_t size, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got = pread(fd, to + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<std::int64_t>(done);
}

BoundedLines::BoundedLines(int fd, std::size_t line_bytes_max)
    : fd_(fd), splitter_(line_bytes_max, kBlockBytes) {}

bool BoundedLines::next(Line& line) {
  while (!splitter_.next(line)) {
    if (splitter_.finished()) return false;
    if (!fill(kBlockBytes)) throw std::system_error(errno, std::generic_category());
  }
  return true;
}

std::optional<std::string_view> BoundedLines::line_at(std::uint64_t offset, std::uint64_t until) {
  splitter_.seek(offset);
  const std::uint64_t end = splitter_.end_of_bytes();
  std::size_t bytes = until > end ? std::min<std::uint64_t>(until - end, kBlockBytes) : kGuessBytes;
  Line line;
  while (!splitter_.next(line)) {
    if (splitter_.finished() || splitter_.in_long_line() || !fill(bytes)) return std::nullopt;
    bytes = std::clamp(bytes * 4, kGuessBytes, kBlockBytes);
  }
  if (line.too_long) return std::nullopt;
  return line.text;
}

void BoundedLines::hold_all(std::size_t bytes) {
  splitter_.restart(0);
  splitter_.reserve(bytes + kBlockBytes);
  // To the end of the file, so that its last line is known to be whole without a newline.
  while (!splitter_.finished() && splitter_.end_of_bytes() <= bytes) {
    if (!fill(kBlockBytes)) return;
  }
}

bool BoundedLines::fill(std::size_t bytes_most) {
  const std::span<char> room = splitter_.room();
  const std::int64_t got =
      read_at(fd_, room.data(), std::min(room.size(), bytes_most), splitter_.end_of_bytes());
  if (got < 0) return false;
  splitter_.add(static_cast<std::size_t>(got));
  if (got == 0) splitter_.finish();
  return true;
}

}  // namespace workpool::dispatcher
