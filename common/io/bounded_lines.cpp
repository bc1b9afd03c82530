// SPDX-License-Identifier: MIT
#include "common/io/bounded_lines.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kBlockBytes = 256 << 10;
constexpr std::size_t kHeadBytes = 64;  // of a line that is too long: enough to see what it was

}  // namespace

BoundedLines::BoundedLines(int fd, std::size_t line_bytes_max)
    : fd_(fd), line_bytes_max_(line_bytes_max), buffer_(kBlockBytes) {}

bool BoundedLines::next(Line& line) {
  for (;;) {
    const void* const found = std::memchr(buffer_.data() + scanned_, '\n', filled_ - scanned_);
    const std::size_t stop = found != nullptr
                                 ? static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data())
                                 : filled_;
    scanned_ = stop;
    if (stop - start_ > line_bytes_max_) start_skipping();
    const bool ended = found != nullptr;
    if (!ended && fill()) continue;
    if (!ended && !skipping_ && start_ == filled_) return false;
    // A line, or what stands at the end without a newline.
    const std::size_t text_end = scanned_;
    line.text = skipping_ ? std::string_view(long_head_)
                          : std::string_view(buffer_.data() + start_, text_end - start_);
    line.offset = skipping_ ? long_offset_ : offset_ + start_;
    line.end = offset_ + text_end + (ended ? 1 : 0);
    line.ended = ended;
    line.too_long = skipping_;
    skipping_ = false;
    start_ = scanned_ = std::min(text_end + 1, filled_);
    return true;
  }
}

// Drops what there is of a line that is too long; its newline is still to come.
void BoundedLines::start_skipping() {
  if (!skipping_) {
    long_head_.assign(buffer_.data() + start_, std::min(kHeadBytes, scanned_ - start_));
    long_offset_ = offset_ + start_;
    skipping_ = true;
  }
  start_ = scanned_;
}

bool BoundedLines::fill() {
  if (at_end_) return false;
  if (skipping_) start_ = scanned_;
  std::memmove(buffer_.data(), buffer_.data() + start_, filled_ - start_);
  offset_ += start_;
  scanned_ -= start_;
  filled_ -= start_;
  start_ = 0;
  // Grows only for long lines, by doubling, up to the longest line and a block.
  if (buffer_.size() - filled_ < kBlockBytes / 2) buffer_.resize(buffer_.size() * 2);
  ssize_t count = 0;
  do
    count =
        pread(fd_, buffer_.data() + filled_, buffer_.size() - filled_, static_cast<off_t>(offset_ + filled_));
  while (count < 0 && errno == EINTR);
  if (count < 0) throw std::system_error(errno, std::generic_category());
  filled_ += static_cast<std::size_t>(count);
  at_end_ = count == 0;
  return !at_end_;
}

}  // namespace workpool::dispatcher
