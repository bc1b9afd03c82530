// SPDX-License-Identifier: MIT
// How INT, TERM and HUP reach a run. A HUP that was ignored at the start (nohup) stays ignored.
#pragma once

#include "common/base/exit_code.h"

namespace workpool::dispatcher {

// How a run exits that SIGINT, SIGTERM or SIGHUP has stopped before its end.
ExitCode stopped_by(int signal_number);

// While JOBS is checked and RESULTS is read nothing runs yet: a stop ends the program at once.
void let_signals_end_it();

// From here on they are read from the descriptor that this gives (a signalfd, non-blocking; the caller owns
// it). Called before any thread that stays is made, so that every thread blocks them.
// Throws std::system_error.
int block_signals();

}  // namespace workpool::dispatcher
