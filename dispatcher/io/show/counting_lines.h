// SPDX-License-Identifier: MIT
// Which lines of RESULTS count, and where they stand: what `show` keeps of a file, 40 bytes per job and the
// entry of an index, however long the lines are.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/outcome.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/io/results/results_replay.h"
#include "dispatcher/io/show/selection.h"

namespace workpool::dispatcher {

inline constexpr std::uint32_t kNoJob = ~std::uint32_t{0};

struct CountingLine {
  std::uint64_t key_prefix = 0;  // Key::high of the id
  std::uint64_t offset = 0;      // of its text in RESULTS
  std::uint64_t line = 0;        // in the jobs file: today's if it is at hand, else as recorded
  std::uint32_t bytes = 0;       // of its text
  Status status = Status::kOk;
  bool selected = false;
  std::uint32_t job = kNoJob;  // its number in the jobs file, if that has this work under this id
};

struct CountingLines {
  std::vector<CountingLine> lines;  // those selected, by line of the jobs file
  ReplaySummary results;            // superseded, removed, changed and matched are not filled
};

// Reads the file at `fd` as replay() does. Of several lines with one id the last counts; with `jobs` (sealed;
// null if the jobs file is not at hand) the last that has the job's work, as for `verify`, and of an id
// without one simply the last. Each `invalid` line is one of its own. Throws StoreError.
CountingLines read_counting_lines(int fd, const JobIndex* jobs, Selection& selection);

}  // namespace workpool::dispatcher
