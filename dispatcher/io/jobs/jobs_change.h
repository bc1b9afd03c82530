// SPDX-License-Identifier: MIT
// Whether a jobs file still holds the jobs that have run, asked at the end of a run. Otherwise jobs that were
// written into it meanwhile, or put in its place by a rename as editors do, would seem to be done.
#pragma once

#include <string>

#include "common/formats/job_defaults.h"
#include "common/formats/jobs_file.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/io/jobs/jobs_input.h"

namespace workpool::dispatcher {

// Whether the open file, or the one that `path` names now, holds other jobs than `index`, or cannot be read.
// If the file was not written to and is still in its place, its jobs are not read again. A file that is gone
// has not changed, and neither has anything that is not a regular file.
// `defaults`: of the command line.
bool jobs_changed(const JobsInput& input, const std::string& path, JobsFormat format,
                  const JobDefaults& defaults, const JobIndex& index);

}  // namespace workpool::dispatcher
