// SPDX-License-Identifier: MIT
// Keeps the first and the last bytes of a stream within a bound, whatever its length. Pure; one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace workpool::worker {

class CaptureBuffer {
 public:
  // Keeps at most `limit` bytes: half of them head, half tail. Memory grows with what is kept.
  explicit CaptureBuffer(std::size_t limit);

  void append(std::string_view bytes);

  // What is kept, head and tail one after the other, each cut between UTF-8 letters; whole while the stream
  // was within the limit. `cut` is raised by the bytes that are missing.
  std::string take(std::uint64_t& cut);

 private:
  std::string_view tail_bytes(std::string& storage) const;

  std::size_t head_limit_;
  std::size_t tail_limit_;
  std::uint64_t total_ = 0;
  std::string head_;          // the first head_limit_ bytes
  std::string after_head_;    // the few bytes behind it, which show whether the cut splits a letter
  std::string ring_;          // the last tail_limit_ + kLetterBytesMax bytes after the head
  std::size_t ring_end_ = 0;  // where the next byte goes once the ring is full
};

}  // namespace workpool::worker
