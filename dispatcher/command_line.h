// SPDX-License-Identifier: MIT
// What a command line asks for.
#pragma once

#include <variant>

#include "common/base/exit_code.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

// An ExitCode if everything has been printed and the program ends: kOk (help, version), kResultsFailed
// (stdout took no help), kUsage, kUnsafe.
using CommandLine = std::variant<RunOptions, CheckOptions, VerifyOptions, ShowOptions, StatusOptions,
                                 KeygenOptions, ExitCode>;

}  // namespace workpool::dispatcher
