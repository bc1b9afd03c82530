// SPDX-License-Identifier: MIT
// Checks all of a regular jobs file before any of it runs; `run`, `check` and `verify` start with this. The
// file is read in segments, which are parsed on all cores and merged in the order of the file. Memory is the
// index and a few MiB, whatever the lines look like.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "dispatcher/core/job_index.h"
#include "dispatcher/io/jobs/jobs_form.h"
#include "dispatcher/io/jobs/jobs_input.h"

namespace workpool::dispatcher {

struct IndexReport {
  static constexpr std::size_t kErrorsMax = 20;
  std::optional<JobsProblem> problem;  // the file could not be read to its end
  std::vector<JobsError> errors;       // the first kErrorsMax by line
  std::uint64_t error_count = 0;
  std::uint64_t lines = 0;  // of the file, blank ones too
  bool ok() const { return !problem && error_count == 0; }
};

struct IndexOptions {
  unsigned threads = 0;                   // 0 = the cores
  std::uint64_t segment_bytes = 1 << 20;  // small ones are for tests
};

// `input`: regular. Adds every job to `index` (empty before) and seals it. If the report is not ok, the index
// holds only the good jobs and must not be run.
IndexReport index_jobs_file(const JobsInput& input, const JobsForm& form, JobIndex& index,
                            const IndexOptions& options = {});

// For a report that is not ok: a line "jobs.jsonl:3:14: message" per error, then how many more there are; or
// why the file could not be read to its end. No newline at the end.
std::string format_errors(const std::string& shown_path, const IndexReport& report);

}  // namespace workpool::dispatcher
