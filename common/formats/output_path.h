// SPDX-License-Identifier: MIT
// The path of a file for what a job prints ("stdout", "stderr"): text with {id}, {line} and {attempt}, where
// {{ stands for a `{`. A `/` in an id becomes `_`, and so do the dots of an id of nothing else. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace workpool {

// What is wrong with it, for people; empty if nothing is. `text`: any bytes.
std::string output_path_fault(std::string_view text);
// Whether jobs with different lines get different paths. REQUIRES: there is no fault.
bool differs_by_job(std::string_view text);
// REQUIRES: there is no fault.
std::string expanded_output_path(std::string_view text, std::string_view id, std::uint64_t line,
                                 std::uint32_t attempt);
// Whether a file can be found by it from anywhere: a worker, or a results file, may say anything.
bool is_absolute_path(std::string_view path);

}  // namespace workpool
