// SPDX-License-Identifier: MIT
// The supervisor: a small single-threaded process (PID 1 in a container, child subreaper) that starts the
// engine below a guard (guard.h), starts another one when it dies, forwards stops and keeps the deaths until
// the dispatcher has acked them. It never loads a handler, opens no socket and starts no thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "common/base/time.h"
#include "worker/io/guard.h"
#include "worker/io/process/shared_page.h"

namespace workpool {
class Log;
}

namespace workpool::worker {

struct SupervisorOptions {
  SharedPage* page = nullptr;               // made before, outlives supervise()
  Log* log = nullptr;                       // may be null
  std::string program = "workpool-worker";  // as messages call it
  int parent_fd = -1;       // end of file = the dispatcher of a local worker is gone: stop now; -1 = none
  bool ignore_hup = false;  // SIGHUP was ignored at the start (nohup)
  Duration grace = seconds(25);  // of running jobs after a stop (--grace)
  // How long the engine may take after the grace: KILL follows TERM after 5 s, then results are acked. After
  // that it hangs.
  Duration to_end = seconds(8);
  Duration first_pause = milliseconds(100);  // before the next engine; doubles up to 5 s
};

// Runs until the worker is over; returns the exit code. `engine_main` runs in the child process and returns
// the engine's exit code. REQUIRES: this process has one thread.
//
// If engine_main returns kExitRestart (worker/core/facts.h), a new engine starts at once and no crash is
// counted. Any other value that it returns is the worker's exit code. An engine that ends in any other way, a
// handler's exit(0) included, has died; it is replaced, unless a stop came before (0, or 69 if parent_fd
// ended).
//
// An engine that has not gone `to_end` after its grace, or after a second stop, hangs. It is killed with all
// its jobs, and the worker still ends with 0, as a stop promises; the dispatcher notices the loss of its
// jobs. After the end of parent_fd the engine has 500 ms, and the code is 69. If eight engines in a row
// cannot be made, or die at once without having met a dispatcher, the code is 71.
int supervise(const SupervisorOptions& options, const std::function<int(const EngineBirth&)>& engine_main);

// For an engine that ends at once. Closes the page, so nothing is started or reported any more, and kills
// every process below this one. Returns when they are gone, after half a second at the latest. Any thread.
void kill_everything_now(SharedPage& page);

}  // namespace workpool::worker
