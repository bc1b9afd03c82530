// SPDX-License-Identifier: MIT
// The guard: a small process between supervisor and engine, one for each engine. Whatever the engine leaves
// becomes the guard's child (child subreaper), and is killed before the guard ends. Its name is a different
// one, so `pkill -9 workpool` kills the other two but not the guard.
//
//   supervisor ── guard ── engine ── jobs
//
// Any one or two of the three may be killed, and nothing of a job outlives them by more than a second:
//   the engine dies       the guard kills what is left and reports the end through the shared page
//   the supervisor dies   the guard sees the end of the control pipe, and kills engine and jobs
//   the guard dies        the supervisor adopts engine and jobs, and kills them
//   supervisor and guard  the engine sees the end of the control pipe
// If all three die at once, the next worker on the machine finds what is left (process/leftovers.h).
#pragma once

#include <cstdint>
#include <functional>

#include "common/base/time.h"
#include "worker/io/process/shared_page.h"

namespace workpool::worker {

// What an engine starts with. It is a child subreaper, ignores TERM, INT and HUP, and blocks these and CHLD
// in every thread. It obeys `control_fd`. If the supervisor dies, a thread of ours kills everything below the
// engine and then the engine, whatever its loop does.
struct EngineBirth {
  std::uint32_t engine = 1;    // from 1, rises with every start
  SharedPage* page = nullptr;  // shared with the supervisor
  int control_fd = -1;  // readable, non-blocking: one byte for each stop ('s' drain or cancel: the engine
                        // counts them, 'n' = stop now: the dispatcher of a local worker is gone)
};

// How long we try to kill what an engine left. The next engine starts after that and must not meet the old
// one's jobs. What the kernel cannot end in that time (a dead NFS server) stays.
inline constexpr Duration kKillLeftovers = seconds(5);

// The guard's whole life, in a child of the supervisor with one thread, SIGCHLD and the stop signals blocked.
// Forks the engine, where `engine` is called and must not return. The guard ends when the engine and
// everything below it are gone.
[[noreturn]] void be_guard(const EngineBirth& birth, const std::function<void(const EngineBirth&)>& engine);

}  // namespace workpool::worker
