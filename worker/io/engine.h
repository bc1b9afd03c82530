// SPDX-License-Identifier: MIT
// The engine: the worker's multi-threaded process. A loop around the session machine (worker/core/session.h)
// that receives, steps and carries out; sockets and machine belong to its thread, jobs run in the runner's.
#pragma once

#include "common/io/log.h"
#include "worker/io/process/limits.h"
#include "worker/io/supervisor.h"
#include "worker/options.h"

namespace workpool::worker {

// Runs in a process of its own that the supervisor has made; returns its exit code.
int run_engine(const WorkerOptions& options, const DescriptorLimit& limit, const EngineBirth& birth,
               Log& log);

}  // namespace workpool::worker
