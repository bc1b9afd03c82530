// SPDX-License-Identifier: MIT
// Keeps what a program of ours holds (keys, what jobs are given and what they print) away from other
// processes of its user, above all from the jobs.
#pragma once

#include <sys/resource.h>

namespace workpool {

// From now on nobody but root can read this process's memory, environment or open files through /proc, trace
// it, or get a core dump of it. It holds for processes forked from it too, and ends with exec. Returns the
// limit on core dumps that we were started with, for the programs that we start. Called first thing in a
// main.
rlimit protect_process();

}  // namespace workpool
