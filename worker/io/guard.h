// SPDX-License-Identifier: MIT
// The guard: a small process between supervisor and engine, one for each engine. Whatever the engine leaves
// becomes the guard's child (child subreaper), and is killed before the guard ends. It stays behind when one
// blow takes the others: its name is another one, so that `pkill -9 workpool` passes it by.
//
//   supervisor ── guard ── engine ── jobs
//
// Any one or two of the three may be killed, and nothing of a job outlives them by more than a second:
//   the engine dies       the guard kills what is left and reports the end through the shared page
//   the supervisor dies   the guard sees the end of the control pipe, and kills engine and jobs
//   the guard dies        the supervisor adopts engine and jobs, and kills them
//   supervisor and guard  the engine sees the end of the control pipe
// Where all three die at once the next worker on the machine finds what is left (process/leftovers.h).
#pragma once

#include <functional>

#include "worker/io/supervisor.h"

namespace workpool::worker {

// Kills everything below this process with KILL for at most that long, since a new engine must not meet the
// jobs of the old one. What the kernel cannot end in that time (a dead NFS server) is left to later.
inline constexpr Duration kKillLeftovers = seconds(5);

// The guard's whole life, in a child of the supervisor with one thread, SIGCHLD and the stop signals blocked.
// Forks the engine, which returns from `engine_main` never; ends when the engine and everything below it are
// gone.
[[noreturn]] void be_guard(const EngineBirth& birth, const std::function<void(const EngineBirth&)>& engine);

}  // namespace workpool::worker
