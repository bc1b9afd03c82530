// SPDX-License-Identifier: MIT
// Why a command could not be started, for people: which file or directory is at fault, and the system's
// reason.
#pragma once

#include <string>
#include <vector>

#include "worker/io/process/spawn.h"

namespace workpool::worker {

struct SpawnAttempt {
  std::string program;                  // argv[0]
  std::string search_path;              // the job's PATH
  std::vector<std::string> candidates;  // files that were tried, in order
  std::string directory;                // the job's cwd; empty = none
};

// REQUIRES: `spawned` failed. May look at the files again.
std::string explain(const Spawned& spawned, const SpawnAttempt& attempt);

}  // namespace workpool::worker
