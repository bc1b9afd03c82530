// SPDX-License-Identifier: MIT
// Writes lines to the end of a descriptor. A failure never leaves half a line before a whole one: on a
// regular file, what a failed write left of a line is cut off again. A stream is written only when it is
// ready, so that the thread does not wait inside write(2). For one thread whose signals are blocked, so that
// SIGPIPE and SIGXFSZ are errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/time.h"

namespace workpool::dispatcher {

// Whether this errno means that there may be room later: ENOSPC or EDQUOT.
bool is_no_space(int error);

class LineOutput {
 public:
  enum class Ending : std::uint8_t {
    kDone,      // all of it is written
    kNotReady,  // a stream takes no more now: wait_ready, then the rest
    kNoSpace,   // ENOSPC or EDQUOT on a regular file: try the rest later
    kError,     // final: nothing may be written after it
  };
  struct Attempt {
    std::size_t bytes = 0;  // written for good; on a regular file whole lines only
    Ending ending = Ending::kDone;
    int error = 0;  // errno of kNoSpace and kError
  };

  // `regular`: a regular file whose lines go to its end. Works on a duplicate of `fd`, so that a thread left
  // behind in a hanging write never meets a number that has come to mean another file. Throws
  // std::system_error.
  LineOutput(int fd, bool regular);
  ~LineOutput();
  LineOutput(const LineOutput&) = delete;
  LineOutput& operator=(const LineOutput&) = delete;

  bool regular() const { return regular_; }

  // `lines`: whole lines, or the rest of what was given before.
  Attempt write(std::string_view lines);
  // Waits until the stream takes something, or has failed (write then says how), or `limit` is over.
  void wait_ready(Duration limit) const;
  // For a regular file: returns 0 if `path` still leads to all of what was written, ESTALE if another program
  // removed, replaced or cut short the file.
  int misplaced(const std::string& path) const;
  // fdatasync. Returns errno or 0. Never call it again after a failure: the kernel may then call lost pages
  // clean.
  int sync();

 private:
  Attempt write_file(std::string_view lines);
  Attempt write_stream(std::string_view bytes);
  Attempt cut_back(std::string_view written, int error);

  int fd_;
  bool regular_;
  std::int64_t end_ = 0;  // of the last whole line in a regular file
};

}  // namespace workpool::dispatcher
