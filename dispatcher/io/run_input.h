// SPDX-License-Identifier: MIT
// Where the jobs of a run come from: a jobs file, a pipe, or the values of `each`.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>

#include "common/base/exit_code.h"
#include "common/io/console.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/core/job_intake.h"
#include "dispatcher/io/jobs/each_feeder.h"
#include "dispatcher/io/jobs/job_source.h"
#include "dispatcher/io/jobs/jobs_form.h"
#include "dispatcher/io/jobs/jobs_input.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// Thrown to end the program with this code, after all messages have been printed.
struct Ended {
  ExitCode code = ExitCode::kOk;
};

class RunInput {
 public:
  // Opens it. Throws Ended, or std::system_error. `options.each` outlives it.
  RunInput(const RunOptions& options, Console& console);

  bool regular() const { return input_.regular(); }
  // How many jobs a pipe will have, if that is known.
  std::optional<std::uint64_t> expected_jobs() const { return feeder_ ? feeder_->total() : std::nullopt; }
  // Whether a regular file still holds the jobs of `index`: see jobs_changed.
  bool changed(const JobIndex& index) const;

  // Checks a regular file and fills `index`, which stays empty for a pipe. Throws Ended if it has errors.
  void index(JobIndex& index, Console& console) const;
  // The jobs as they come. `skipped`: called with the line of a job that an earlier start has finished, for a
  // pipe. All that is given outlives the source.
  std::unique_ptr<JobSource> source(const JobIndex& index, const JobIntake& intake,
                                    std::function<void()> wake,
                                    std::function<void(std::uint64_t line)> skipped) const;

 private:
  // Copies, because changed() may outlive what the options belong to.
  const std::string path_;
  const std::optional<JobsFormat> format_;
  const JobDefaults defaults_;
  std::unique_ptr<EachFeeder> feeder_;  // of `each`, else null
  JobsInput input_;
  std::optional<JobsForm> form_;  // of a regular file
};

// `each --dry-run`: prints the jobs lines on stdout.
ExitCode print_jobs(const EachOptions& options, Console& console);

// What to do if the system has refused something that a run needs; "" if there is no advice.
std::string advice_on(int error);
ExitCode refused_by_system(const std::system_error& error, Console& console);

}  // namespace workpool::dispatcher
