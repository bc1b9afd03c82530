// SPDX-License-Identifier: MIT
// Cuts bytes that come in blocks into lines, in memory bounded by the longest line that is wanted. Every
// reader of JOBS and RESULTS is a LineSplitter with a source of bytes. Pure.
//
//   while (!splitter.next(line)) {
//     const std::span<char> room = splitter.room();
//     if (const std::size_t got = read(room)) splitter.add(got); else splitter.finish();
//   }
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace workpool {

class LineSplitter {
 public:
  struct Line {
    std::string_view text;  // without its line ending (a newline, or CR and newline), nor a byte order mark
                            // at the start of the input; of a line that is too long only the beginning
    std::uint64_t offset = 0;  // of the first byte of `text` in the input
    std::uint64_t end = 0;     // of the byte after the line and its newline
    bool ended = true;         // by a newline; false only for the last one
    bool too_long = false;     // more than the limit, without its line ending
  };

  // A line over `line_bytes_max` is too long. room() has at least `block_bytes`.
  LineSplitter(std::size_t line_bytes_max, std::size_t block_bytes);

  // Fetches the next line, whose text lives until the next call of room(), seek() or restart(). Returns false
  // if more bytes are needed, or after finish() if there is no line left.
  bool next(Line& line);

  // Room, never empty, for the next bytes of the input: those from end_of_bytes() on. Then tell add() how
  // many came.
  std::span<char> room();
  void add(std::size_t bytes) { filled_ += bytes; }
  // The input ends here. What follows its last newline is a line, too.
  void finish() { finished_ = true; }
  bool finished() const { return finished_; }
  // Whether the next line is already known to be too long: next() passes over the rest of it.
  bool in_long_line() const { return skipping_; }

  // The offset of the next line, and of the byte after all that has been added.
  std::uint64_t position() const { return skipping_ ? long_offset_ : offset_ + start_; }
  std::uint64_t end_of_bytes() const { return offset_ + filled_; }

  // For an input that can be read anywhere: the next line starts at `offset`. Bytes that are still here are
  // used again, also those of lines that next() has returned; if the input is known to end behind them, it
  // still is.
  void seek(std::uint64_t offset);
  // Room for that many bytes in one go.
  void reserve(std::size_t bytes) {
    if (buffer_.size() < bytes) buffer_.resize(bytes);
  }
  // Forgets all bytes; the next ones come from `offset`.
  void restart(std::uint64_t offset);

 private:
  std::size_t line_bytes_max_;
  std::size_t block_bytes_;
  std::vector<char> buffer_;
  std::uint64_t offset_ = 0;  // of buffer_[0] in the input
  std::size_t start_ = 0;     // of the next line, in buffer_
  std::size_t scanned_ = 0;   // there is no newline in [start_, scanned_)
  std::size_t filled_ = 0;
  bool finished_ = false;
  bool skipping_ = false;  // inside of a line that is too long: its beginning is in long_head_
  std::uint64_t long_offset_ = 0;
  std::vector<char> long_head_;
};

}  // namespace workpool
