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
// Lines are mostly read in order. But those of one requirement or priority among many lie far apart, and then
// what is read around a line is wasted: with both limits at 8 KiB, reading a job took 8 us instead of 2 in a
// file of 3,000 requirements.
constexpr std::size_t kJumpBytes = 512;       // read for a line that is not near the last one
constexpr std::size_t kForwardGap = 4 << 10;  // up to this far ahead is reached by reading on

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

std::optional<std::string_view> BoundedLines::line_at(std::uint64_t offset) {
  const std::uint64_t known_end = splitter_.end_of_bytes();
  splitter_.seek(offset);
  const bool inside = offset <= known_end && splitter_.end_of_bytes() == known_end;
  const bool forward = inside || (offset > known_end && offset <= known_end + kForwardGap);
  std::size_t bytes = forward ? kBlockBytes : kJumpBytes;
  Line line;
  while (!splitter_.next(line)) {
    if (splitter_.finished() || splitter_.in_long_line() || !fill(bytes)) return std::nullopt;
    bytes = std::min(bytes * 4, kBlockBytes);
  }
  if (line.too_long) return std::nullopt;
  return line.text;
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
