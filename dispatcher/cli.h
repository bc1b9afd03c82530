// SPDX-License-Identifier: MIT
// The command line of workpool-dispatcher (docs/reference.md, "Flags"): from argv and environment to checked
// options.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "common/base/exit_code.h"
#include "common/base/flags.h"
#include "common/io/console.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// An ExitCode if everything has been printed and the program ends: kOk (help, version), kResultsFailed
// (stdout took no help), kUsage, kUnsafe.
using CommandLine = std::variant<RunOptions, CheckOptions, VerifyOptions, StatusOptions, ExitCode>;

// `arguments`: argv without the program's name. Help goes to stdout, errors to the console. Looks at JOBS and
// RESULTS with stat but opens nothing: if JOBS is missing or is no file, its reader refuses it later (65).
CommandLine parse_command_line(const std::vector<std::string>& arguments, const Environment& environment,
                               Console& console);
// With the environment of the process.
CommandLine parse_command_line(int argc, char** argv, Console& console);

// JOBS with its ending replaced: "a.d/jobs.jsonl" -> "a.d/jobs.results.jsonl", "jobs" ->
// "jobs.results.jsonl".
std::string default_results(const std::string& jobs);

}  // namespace workpool::dispatcher
