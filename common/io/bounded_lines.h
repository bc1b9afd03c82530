// SPDX-License-Identifier: MIT
// The lines of a file of any content, read in blocks with pread: constant memory, whatever the length of its
// lines.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace workpool::dispatcher {

class BoundedLines {
 public:
  struct Line {
    std::string_view text;     // without its newline; of one that is too long only the beginning
    std::uint64_t offset = 0;  // of its first byte in the file
    std::uint64_t end = 0;     // of the byte behind it, its newline included
    bool ended = true;         // by a newline; false only for the last one
    bool too_long = false;
  };

  // `fd`: not owned, its position neither used nor moved.
  BoundedLines(int fd, std::size_t line_bytes_max);

  // The next line; its text lives until the next call. False at the end of the file, which is where it is
  // when it is reached: what another process appends later is not seen. Throws std::system_error where
  // reading fails.
  bool next(Line& line);

 private:
  bool fill();  // false at the end of the file
  void start_skipping();

  int fd_;
  std::size_t line_bytes_max_;
  std::vector<char> buffer_;
  std::size_t start_ = 0;    // of the current line in the buffer
  std::size_t scanned_ = 0;  // no newline in [start_, scanned_)
  std::size_t filled_ = 0;
  std::uint64_t offset_ = 0;  // of buffer_[0] in the file
  bool at_end_ = false;
  bool skipping_ = false;  // inside a line that is too long
  std::uint64_t long_offset_ = 0;
  std::string long_head_;
};

}  // namespace workpool::dispatcher
