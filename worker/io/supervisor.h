// SPDX-License-Identifier: MIT
// The supervisor: a small single-threaded process (PID 1 in a container, child subreaper) that starts the
// engine below a guard (guard.h), starts another one when it dies, forwards stops and keeps the deaths until
// the dispatcher acked them. It never loads a handler, opens no socket and starts no thread.
#pragma once

#include <cstdint>
#include <functional>

#include "common/base/time.h"
#include "worker/io/guard.h"
#include "worker/io/process/shared_page.h"

namespace workpool {
class Log;
}

namespace workpool::worker {

struct SupervisorOptions {
  SharedPage* page = nullptr;  // made before, outlives supervise()
  Log* log = nullptr;          // may be null
  int parent_fd = -1;          // end of file = the dispatcher of a local worker is gone: stop now; -1 = none
  bool ignore_hup = false;     // SIGHUP was ignored at the start (nohup)
  Duration grace = seconds(25);  // of running jobs after a stop (--grace)
  // Of the engine after the grace: KILL follows TERM after 5 s, then results are acked; more is a hang.
  Duration to_end = seconds(8);
  Duration first_pause = milliseconds(100);  // before the next engine; doubles up to 5 s
};

// An engine that returns kExitRestart (worker/core/facts.h) is replaced by a new one at once, no crash
// counted. Every other value that engine_main returns ends the worker with that exit code; an engine that
// ends in any other way has died, a handler's exit(0) too.
//
// Runs until the worker is over; returns the exit code. `engine_main` runs in the child process and gives its
// exit code. REQUIRES: one thread. An engine that is not gone `to_end` after its grace, or after a second
// stop, hangs: it is killed with all its jobs, and the worker ends with 0 nevertheless, as a stop promises;
// what it held is found out by the dispatcher. After the end of parent_fd it has 500 ms, and the code is 69.
// An engine that dies after a stop is not replaced (0, 69). Where eight in a row cannot be made, or die at
// once without having met a dispatcher, the code is 71.
int supervise(const SupervisorOptions& options, const std::function<int(const EngineBirth&)>& engine_main);

// Engine: closes the page, so that nothing is started and reported any more, and kills every process below
// this one. Returns when they are gone, at most half a second later. For an engine that ends at once; any
// thread.
void kill_everything_now(SharedPage& page);

}  // namespace workpool::worker
