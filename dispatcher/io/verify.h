// SPDX-License-Identifier: MIT
// `verify JOBS RESULTS`: checks that every job has a result that counts, which is the last line with the
// job's id and spec. Takes no lock and changes nothing, so it also works while a run goes on.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/base/exit_code.h"
#include "common/base/ids.h"
#include "common/base/outcome.h"
#include "common/io/bounded_lines.h"
#include "dispatcher/core/job_facts.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/io/file_check.h"
#include "dispatcher/io/jobs/jobs_input.h"
#include "dispatcher/io/results/results_replay.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

inline constexpr std::size_t kVerifyListed = 20;  // at most, of each kind; the counts are complete

struct VerifyReport {
  struct Missing {
    std::uint64_t line = 0;  // in the jobs file
    std::string id;
    bool changed = false;  // there are lines of this id, but for other work
  };

  std::uint64_t jobs = 0;
  std::array<std::uint64_t, 5> counting{};  // jobs by the Status of their counting line; none is kInvalid
  std::uint64_t missing = 0;                // jobs without one
  std::vector<Missing> missing_first;       // the first kVerifyListed in the order of the file
  std::vector<std::string> superseded_first;
  std::vector<std::string> removed_first;
  ReplaySummary results;           // superseded, removed, damaged and torn, in numbers
  bool may_lack_defaults = false;  // those of the command line, which nobody gave

  std::uint64_t jobs_of(Status status) const { return counting[static_cast<std::size_t>(status)]; }
  bool complete() const { return missing == 0; }
};

// `index`: sealed. `results_fd`: a regular file, read from its start. `id_of` returns the id of a job that
// has no line. Throws StoreError if RESULTS cannot be read.
VerifyReport verify_results(const JobIndex& index, int results_fd,
                            const std::function<std::string(JobNumber)>& id_of);

// The id of any job of an indexed jobs file, read again from its line; empty if that has changed since.
std::string id_of_job(const JobIndex& index, JobNumber number, BoundedLines& lines, JobLineParser& parser);

// For people: some lines, each with a newline, no control characters.
std::string format_report(const VerifyReport& report, const std::string& jobs_path,
                          const std::string& results_path);

// For programs: one JSON object in a line, without a newline. Its members are in docs/reference.md, "check
// and verify as JSON".
std::string json_report(const VerifyReport& report, const std::optional<FileReport>& files,
                        const std::string& jobs_path, const std::string& results_path);

// The whole command. `text` goes to stdout if `is_report` (RESULTS could be read), else to stderr.
struct VerifyAnswer {
  // kOk: complete; kNotAllOk: not complete, or RESULTS cannot be read; kBadInput: JOBS has errors.
  ExitCode exit_code = ExitCode::kOk;
  std::string text;
  bool is_report = false;
};
VerifyAnswer verify(const VerifyOptions& options);

}  // namespace workpool::dispatcher
