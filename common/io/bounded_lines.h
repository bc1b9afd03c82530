// SPDX-License-Identifier: MIT
// The lines of a file of any content, read in blocks with pread: constant memory, whatever the length of its
// lines. One after the other, or from any offset on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "common/formats/line_splitter.h"

namespace workpool::dispatcher {

// Reads bytes [offset, offset + size) as far as the file has them; fewer only at its end. -1 and errno on a
// read error.
std::int64_t read_at(int fd, char* to, std::size_t size, std::uint64_t offset);

class BoundedLines {
 public:
  using Line = LineSplitter::Line;

  // `fd`: not owned, its position neither used nor moved.
  BoundedLines(int fd, std::size_t line_bytes_max);

  // The next line; its text lives until the next call. False at the end of the file; what another process
  // appends after that is not seen. Throws std::system_error if reading
  // fails.
  bool next(Line& line);

  // The line that starts at `offset`. Steps forward cost few reads, jumps small ones. Nullopt if the file
  // ends before, if it cannot be read, or if the line is too long. next() goes on behind it.
  std::optional<std::string_view> line_at(std::uint64_t offset);
  // The file has changed: nothing that was read of it is used again.
  void forget() { splitter_.restart(0); }

 private:
  bool fill(std::size_t bytes_most);  // false if reading fails

  int fd_;
  LineSplitter splitter_;
};

}  // namespace workpool::dispatcher
