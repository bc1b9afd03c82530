// SPDX-License-Identifier: MIT
// Files that hold what commands printed: shown if they are on this machine and as their results say.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/formats/result_view.h"
#include "dispatcher/io/show/line_walk.h"

namespace workpool::dispatcher {

// Why a file is not what its result says, for people ("No such file or directory", "has 3 bytes instead of
// 7"); empty if it is. Reads all of it.
std::string file_fault(const ResultFile& file);

// Shows files, in constant memory. For one thread.
class FileParts {
 public:
  // Returns false if `sink` takes no more.
  bool show(const FilePart& part, const TextSink& sink);
  // Those that could not be shown, and where they are: for people, a line each.
  std::vector<std::string> missing() const;

 private:
  void note(const FilePart& part, const std::string& why);

  std::vector<std::string> missing_;  // the first few
  std::uint64_t missing_count_ = 0;
};

}  // namespace workpool::dispatcher
