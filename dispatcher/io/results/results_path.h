// SPDX-License-Identifier: MIT
// Where the results of a jobs file go if nobody says so. Pure.
#pragma once

#include <string>

namespace workpool::dispatcher {

// JOBS with its ending replaced: "a.d/jobs.jsonl" -> "a.d/jobs.results.jsonl", "jobs" ->
// "jobs.results.jsonl".
std::string default_results(const std::string& jobs);

}  // namespace workpool::dispatcher
