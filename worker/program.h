// SPDX-License-Identifier: MIT
// A worker from its command line to its exit code: all of main() of workpool-worker, and of a program that is
// linked with libworkpool-worker.
#pragma once

#include "common/base/program_names.h"
#include "worker/options.h"

namespace workpool::worker {

// Becomes the supervisor; the engine is its child. Signals, limits and the rights to look into this process
// are changed, and stay so. Returns the exit code.
int run_program(int argc, char** argv, const ProgramNames& names, const OwnCode& own = {});

}  // namespace workpool::worker
