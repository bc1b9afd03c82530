// SPDX-License-Identifier: MIT
// How the lines of a regular jobs file are to be read: in which format, and with which defaults. All who read
// the file get the same form, or they would not see the same jobs.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/formats/job_defaults.h"
#include "common/formats/jobs_file.h"
#include "dispatcher/io/jobs/jobs_input.h"

namespace workpool::dispatcher {

struct JobsError {
  std::uint64_t line = 0;    // from 1
  std::uint64_t column = 0;  // from 1, in bytes, a byte order mark not counted
  std::string message;
};

struct JobsForm {
  // Without a line of defaults.
  JobsForm(JobsFormat chosen, const JobDefaults& given = {})  // NOLINT(google-explicit-constructor)
      : format(chosen), defaults(std::make_shared<const JobDefaults>(given)) {}

  JobsFormat format;
  std::shared_ptr<const JobDefaults> defaults;  // of the command line and of the file; not null
  std::optional<std::uint64_t> defaults_at;     // where the line of defaults starts
  std::optional<JobsError> error;               // what is wrong with it
};

// `format` if there is one; else by the ending of `path`, or by the first job of `input`, a regular file.
// `defaults`: of the command line.
JobsForm form_of(const JobsInput& input, const std::string& path, const std::optional<JobsFormat>& format,
                 const JobDefaults& defaults);
// The form of a file whose format is known; reads its first line.
JobsForm form_in(const JobsInput& input, JobsFormat format, const JobDefaults& defaults);

}  // namespace workpool::dispatcher
