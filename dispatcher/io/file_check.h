// SPDX-License-Identifier: MIT
// `verify --files`: whether the files that hold what jobs printed are there, and as their results say.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dispatcher/core/job_index.h"

namespace workpool::dispatcher {

struct FileReport {
  static constexpr std::size_t kListed = 20;
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bad = 0;
  std::vector<std::string> bad_first;  // for people
};

// Reads the files of all results that count, on several threads. `index`: sealed. Throws StoreError if
// RESULTS, at `results_fd`, cannot be read.
FileReport check_files(const JobIndex& index, int results_fd);

// For people: some lines, each with a newline.
std::string format_files(const FileReport& report);

}  // namespace workpool::dispatcher
