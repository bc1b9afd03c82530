// SPDX-License-Identifier: MIT
#include "common/formats/line_splitter.h"

#include <algorithm>
#include <cstring>

namespace workpool {
namespace {

constexpr std::size_t kHeadBytes = 64;  // of a line that is too long: enough to see what it was
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

}  // namespace

LineSplitter::LineSplitter(std::size_t line_bytes_max, std::size_t block_bytes)
    : line_bytes_max_(line_bytes_max), block_bytes_(block_bytes) {}

bool LineSplitter::next(Line& line) {
  const void* const found =
      filled_ > scanned_ ? std::memchr(buffer_.data() + scanned_, '\n', filled_ - scanned_) : nullptr;
  const bool ended = found != nullptr;
  const std::size_t text_end =
      ended ? static_cast<std::size_t>(static_cast<const char*>(found) - buffer_.data()) : filled_;
  scanned_ = text_end;
  // The mark is not counted, and a CR only if no newline follows it.
  const std::string_view bytes(buffer_.data() + start_, text_end - start_);
  const std::size_t mark =
      offset_ + start_ == 0 && bytes.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  std::string_view text = bytes.substr(mark);
  if (text.ends_with('\r') && (ended || finished_)) text.remove_suffix(1);
  const std::size_t limit = line_bytes_max_ + (ended || finished_ ? 0 : 1);
  if (!skipping_ && text.size() > limit) {
    long_offset_ = offset_ + start_ + mark;
    text = text.substr(0, kHeadBytes);
    long_head_.assign(text.begin(), text.end());
    skipping_ = true;
  }
  if (!ended && (!finished_ || (!skipping_ && start_ + mark == filled_))) {
    if (skipping_) start_ = scanned_;
    return false;
  }
  line.too_long = skipping_;
  line.text = skipping_ ? std::string_view(long_head_.data(), long_head_.size()) : text;
  line.offset = skipping_ ? long_offset_ : offset_ + start_ + mark;
  line.end = offset_ + text_end + (ended ? 1 : 0);
  line.ended = ended;
  skipping_ = false;
  start_ = scanned_ = text_end + (ended ? 1 : 0);
  return true;
}

std::span<char> LineSplitter::room() {
  if (start_ > 0) {
    std::memmove(buffer_.data(), buffer_.data() + start_, filled_ - start_);
    offset_ += start_;
    scanned_ -= start_;
    filled_ -= start_;
    start_ = 0;
  }
  // It grows for long lines only, by doubling: up to the longest line and a block.
  if (buffer_.size() - filled_ < block_bytes_)
    buffer_.resize(std::max(filled_ + block_bytes_, buffer_.size() * 2));
  return std::span(buffer_).subspan(filled_);
}

void LineSplitter::seek(std::uint64_t offset) {
  if (offset < offset_ || offset - offset_ > filled_) return restart(offset);
  start_ = scanned_ = static_cast<std::size_t>(offset - offset_);
  skipping_ = false;
}

void LineSplitter::restart(std::uint64_t offset) {
  offset_ = offset;
  start_ = scanned_ = filled_ = 0;
  finished_ = skipping_ = false;
}

}  // namespace workpool
