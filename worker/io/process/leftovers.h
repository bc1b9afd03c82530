// SPDX-License-Identifier: MIT
// What a worker leaves on its machine if supervisor, guard and engine die at one blow (`kill -9` of all
// three, the OOM killer): the attempt key in the environment of each process of a job says which worker
// started it, so the next worker that starts here finds those of dead ones and ends them before it runs
// anything.
#pragma once

#include <cstddef>
#include <string>

#include "common/base/time.h"

namespace workpool::worker {

// Puts WORKPOOL_OWNER, which names this process for as long as the machine is up, into our environment, from
// where the attempt keys of our jobs take it. Once, at the start, by the process that becomes the supervisor.
void mark_jobs_as_ours();

// Kills what dead workers of this PID namespace left, with everything of the same sessions and below, until
// nothing is left that we may kill or `limit` has passed. Returns how many processes that were. Costs a look
// at each process of the machine, about 20 us each.
std::size_t kill_leftovers(Duration limit);

}  // namespace workpool::worker
