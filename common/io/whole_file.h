// SPDX-License-Identifier: MIT
// A file that is written as a whole: beside its place and then renamed, so that whoever finds it finds all
// of it.
#pragma once

#include <string>
#include <string_view>

namespace workpool {

class WholeFile {
 public:
  // What stands at `path` is removed, so that nobody takes it for what is to come. Something that is no
  // regular file (a pipe, /dev/stderr) stays and is written to.
  explicit WholeFile(std::string path);

  // Why it could not be written: a sentence for people. Empty if it can, as far as is known.
  const std::string& problem() const { return problem_; }
  // Returns whether all of it was written; if not, see problem().
  bool write(std::string_view text);

 private:
  bool fail(const char* what, int error);

  std::string path_;
  std::string beside_;  // empty if it is written in place
  std::string problem_;
};

}  // namespace workpool
