// SPDX-License-Identifier: MIT
// Whether a jobs file is still the one whose jobs have run, asked at the end of a run: what was written into
// it, or put in its place by a rename as editors do, would else pass for done.
#pragma once

#include <string>

#include "common/formats/jobs_file.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/io/jobs/jobs_input.h"

namespace workpool::dispatcher {

// Whether the open file or what `path` names by now holds other jobs than `index`, or none that can be read.
// Without a look at the jobs where nobody wrote to it and it is in its place. A file that is gone has not
// changed; nor has what is no regular file.
bool jobs_changed(const JobsInput& input, const std::string& path, JobsFormat format, const JobIndex& index);

}  // namespace workpool::dispatcher
