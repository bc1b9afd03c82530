// SPDX-License-Identifier: MIT
// Which format a jobs file has, if the command line does not say so.
#pragma once

#include <optional>
#include <string>

#include "common/formats/jobs_file.h"
#include "dispatcher/io/jobs/jobs_input.h"

namespace workpool::dispatcher {

// `given` if there is one; else by the ending of `path`, or by the first job of `input`, a regular file.
JobsFormat format_of(const JobsInput& input, const std::string& path, const std::optional<JobsFormat>& given);

}  // namespace workpool::dispatcher
