// SPDX-License-Identifier: MIT
#include "worker/io/process/capture_buffer.h"

#include <algorithm>

#include "common/base/text.h"

namespace workpool::worker {
namespace {

constexpr std::size_t kLetterBytesMax = 4;  // of UTF-8

}  // namespace

CaptureBuffer::CaptureBuffer(std::size_t limit) : head_limit_(limit / 2), tail_limit_(limit - limit / 2) {}

void CaptureBuffer::append(std::string_view bytes) {
  total_ += bytes.size();
  const std::size_t to_head = std::min(head_limit_ - head_.size(), bytes.size());
  head_.append(bytes.substr(0, to_head));
  bytes.remove_prefix(to_head);
  if (bytes.empty()) return;
  if (after_head_.size() < kLetterBytesMax) {
    after_head_.append(bytes.substr(0, kLetterBytesMax - after_head_.size()));
  }

  const std::size_t ring_limit = tail_limit_ + kLetterBytesMax;
  if (bytes.size() > ring_limit) bytes.remove_prefix(bytes.size() - ring_limit);
  const std::size_t to_grow = std::min(ring_limit - ring_.size(), bytes.size());
  ring_.append(bytes.substr(0, to_grow));
  bytes.remove_prefix(to_grow);
  while (!bytes.empty()) {
    const std::size_t part = std::min(bytes.size(), ring_limit - ring_end_);
    ring_.replace(ring_end_, part, bytes.substr(0, part));
    ring_end_ = (ring_end_ + part) % ring_limit;
    bytes.remove_prefix(part);
  }
}

// The ring in order of time.
std::string_view CaptureBuffer::tail_bytes(std::string& storage) const {
  if (ring_end_ == 0) return ring_;
  storage.assign(ring_, ring_end_);
  storage.append(ring_, 0, ring_end_);
  return storage;
}

std::string CaptureBuffer::take(std::uint64_t& cut) {
  std::string storage;
  const std::string_view tail = tail_bytes(storage);
  if (total_ <= head_limit_ + tail_limit_) {
    head_.append(tail);
    return std::move(head_);
  }
  const std::size_t head_size = utf8_prefix(head_ + after_head_, head_limit_).size();
  // The bytes before the tail show whether it begins inside a letter. Those are the head's end if nothing in
  // between has been dropped.
  const bool whole = head_.size() + tail.size() == total_;
  const std::string around = (whole ? head_ : std::string()).append(tail);
  const std::string_view kept = utf8_suffix(around, tail_limit_);
  cut += total_ - head_size - kept.size();
  head_.resize(head_size);
  head_.append(kept);
  return std::move(head_);
}

}  // namespace workpool::worker
