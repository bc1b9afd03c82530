// SPDX-License-Identifier: MIT
// Finds and kills what a worker left on its machine if supervisor, guard and engine died at the same moment
// (`kill -9` of all three, the OOM killer). The attempt key in the environment of each process of a job names
// the worker that started it, so the next worker recognises processes of dead workers.
#pragma once

#include <cstddef>
#include <string>

#include "common/base/time.h"

namespace workpool::worker {

// Puts WORKPOOL_OWNER into our environment, from where the attempt keys of our jobs take it. Its value names
// this process, uniquely until the machine restarts. Called once, by the process that becomes the supervisor.
void mark_jobs_as_ours();

// Kills what dead workers of this PID namespace left, with everything of the same sessions and below, until
// nothing is left that we may kill or `limit` has passed. Returns how many were killed. Looks at each
// process of the machine, which takes about 6 us each.
std::size_t kill_leftovers(Duration limit);

}  // namespace workpool::worker
