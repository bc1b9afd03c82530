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

#include <cstdint>
#include <functional>

#include "common/base/time.h"
#include "worker/io/process/shared_page.h"

namespace workpool::worker {

// What an engine is born with: TERM, INT and HUP ignored, these and CHLD blocked (so every thread of it
// blocks them), a child subreaper. It obeys `control_fd`. Should the supervisor die, a thread of ours kills
// everything below the engine and ends it, whatever its loop does.
struct EngineBirth {
  std::uint32_t engine = 1;    // from 1, rises with every start
  SharedPage* page = nullptr;  // shared with the supervisor
  int control_fd = -1;  // readable, non-blocking: one byte for each stop ('s' drain or cancel: the engine
                        // counts them, 'n' = stop now: the dispatcher of a local worker is gone)
};

// How long what an engine left is killed before the next one starts, which must not meet the old one's jobs.
// What the kernel cannot end in that time (a dead NFS server) is left to later.
inline constexpr Duration kKillLeftovers = seconds(5);

// The guard's whole life, in a child of the supervisor with one thread, SIGCHLD and the stop signals blocked.
// Forks the engine, which returns from `engine_main` never; ends when the engine and everything below it are
// gone.
[[noreturn]] void be_guard(const EngineBirth& birth, const std::function<void(const EngineBirth&)>& engine);

}  // namespace workpool::worker
