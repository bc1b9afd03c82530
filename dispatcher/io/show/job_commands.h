// SPDX-License-Identifier: MIT
// The jobs file that results belong to, if it is still there: which work each of its jobs has, and how the
// command of a job reads.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "common/formats/jobs_file.h"
#include "common/io/bounded_lines.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/io/jobs/jobs_form.h"
#include "dispatcher/io/jobs/jobs_input.h"

namespace workpool::dispatcher {

class JobsAtHand {
 public:
  // Reads all of the file, which must be a regular one without errors; else returns why it is of no use.
  // `format`, `defaults`: see form_of.
  static std::variant<std::unique_ptr<JobsAtHand>, std::string> open(const std::string& path,
                                                                     const std::optional<JobsFormat>& format,
                                                                     const JobDefaults& defaults = {});

  const JobIndex& index() const { return index_; }

  // Reads commands; for one thread.
  class Reader {
   public:
    explicit Reader(const JobsAtHand& jobs);
    // Empty if the line of the job was changed meanwhile.
    std::string command_of(std::uint32_t job);

   private:
    const JobsAtHand& jobs_;
    BoundedLines lines_;
    JobLineParser parser_;
  };

 private:
  JobsAtHand(JobsInput input, JobsForm form) : input_(std::move(input)), form_(std::move(form)) {}

  JobsInput input_;
  JobsForm form_;
  JobIndex index_;
};

}  // namespace workpool::dispatcher
