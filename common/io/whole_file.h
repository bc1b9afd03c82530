// SPDX-License-Identifier: MIT
// A file that is written as a whole: beside its place and then renamed, so that whoever finds it finds all
// of it. Something that is no regular file (a pipe, a terminal) is written in place, and so is an open
// descriptor: renaming would take the file that it goes to from whoever else writes there.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/io/descriptor.h"

namespace workpool {

// The N of /dev/stdout, /dev/stderr, /dev/fd/N and /proc/self/fd/N.
std::optional<int> descriptor_named(std::string_view path);

class WholeFile {
 public:
  // Tries whether it can be written, and changes nothing.
  explicit WholeFile(std::string path);

  // Why it could not be written: a sentence for people. Empty if it can, as far as is known.
  const std::string& problem() const { return problem_; }
  // Removes the file of before, so that nobody takes it for what is to come. Returns whether that worked; if
  // not, see problem().
  bool begin();
  // Returns whether all of it was written; if not, see problem(). Does not wait for a reader that reads
  // nothing for 2 s.
  bool write(std::string_view text);

 private:
  bool fail(const std::string& what, int error = 0);
  bool write_in_place(int fd, std::string_view text);

  std::string path_;
  Descriptor named_;    // a duplicate of the descriptor that the path names
  std::string beside_;  // empty if it is written in place
  std::string problem_;
};

}  // namespace workpool
