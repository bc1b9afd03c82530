// SPDX-License-Identifier: MIT
// Which format a jobs file has, if the command line does not say so.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "common/formats/jobs_file.h"
#include "dispatcher/io/jobs/jobs_input.h"

namespace workpool::dispatcher {

// `given` if there is one; else by the ending of `path`, or by the first job of `input`, a regular file. A
// file called .json is refused, because it is one value and not one job a line.
std::variant<JobsFormat, JobsProblem> format_of(const JobsInput& input, const std::string& path,
                                                const std::optional<JobsFormat>& given);

}  // namespace workpool::dispatcher
