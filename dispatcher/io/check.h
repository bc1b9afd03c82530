// SPDX-License-Identifier: MIT
// `check JOBS`: validates a jobs file, or what comes from a pipe, and runs nothing.
#pragma once

#include <string>

#include "common/base/exit_code.h"
#include "common/io/console.h"
#include "dispatcher/io/jobs/jobs_indexer.h"
#include "dispatcher/io/terminal/json_object.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// kOk or kBadInput; kResultsFailed if the answer cannot be printed, kSystem if the system refuses something.
ExitCode check(const CheckOptions& options, Console& console);

// What `check --json` prints, without a newline; its members are in docs/reference.md, "check and verify as
// JSON". `problem`: why the file cannot be read; empty if it can.
std::string check_json(const std::string& path, const IndexReport& report, std::uint64_t jobs,
                       const std::string& problem);

// The members `error_count` and `errors` of a jobs file with errors, for whoever checks one.
void add_errors(JsonObject& json, const IndexReport& report);

}  // namespace workpool::dispatcher
