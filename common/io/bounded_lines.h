// SPDX-License-Identifier: MIT
// Reads the lines of a file of any content, in blocks with pread and in constant memory, however long the
// lines are: one after the other, or from any offset on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/formats/line_splitter.h"

namespace workpool::dispatcher {

// Reads bytes [offset, offset + size). Returns how many, fewer only at the end of the file; -1 with errno on
// a read error.
std::int64_t read_at(int fd, char* to, std::size_t size, std::uint64_t offset);

class BoundedLines {
 public:
  using Line = LineSplitter::Line;

  // `fd`: not owned, its position neither used nor moved.
  BoundedLines(int fd, std::size_t line_bytes_max);

  // The next line; its text lives until the next call. Returns false at the end of the file; what another
  // process appends after that is not seen. Throws std::system_error if reading fails.
  bool next(Line& line);

  // Returns the line that starts at `offset`; nullopt if the file ends before it, cannot be read, or if the
  // line is too long. If bytes are missing, those up to `until` are read along with them, at most a block:
  // the lines asked for next should be there. next() goes on after this line.
  std::optional<std::string_view> line_at(std::uint64_t offset, std::uint64_t until = 0);
  // Reads all of a file of about `bytes` and keeps it until forget(), so that line_at() needs no more reads.
  // At worst, if it cannot, they go on as they were.
  void hold_all(std::size_t bytes);
  // For a file that has changed: forgets what was read of it.
  void forget() { splitter_.restart(0); }

 private:
  bool fill(std::size_t bytes_most);  // false if reading fails

  int fd_;
  LineSplitter splitter_;
};

}  // namespace workpool::dispatcher
