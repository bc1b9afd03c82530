// SPDX-License-Identifier: MIT
// Lines put at the end of a descriptor, so that a failure never leaves half a line before a whole one: on a
// regular file what a failed write left of a line is cut off again; a stream is written only when it is ready
// for it, so that nobody waits inside write(2). For one thread, whose signals are blocked: SIGPIPE and
// SIGXFSZ are then errors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/time.h"

namespace workpool::dispatcher {

// Of errno: what there is room for later.
bool is_no_space(int error);

class LineOutput {
 public:
  enum class Ending : std::uint8_t {
    kDone,      // all of it is written
    kNotReady,  // a stream takes no more now: wait_ready, then the rest
    kNoSpace,   // ENOSPC or EDQUOT on a regular file: later the rest
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
  // Until the stream takes something, or has failed (write then says how), or `limit` is over.
  void wait_ready(Duration limit) const;
  // Whether what was written is still what `path` leads to, whole: 0; ESTALE where the file was removed,
  // replaced or cut short by another program. Of a regular file.
  int misplaced(const std::string& path) const;
  // fdatasync; errno or 0. Not to be called again once it failed: the kernel may then call lost pages clean.
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
