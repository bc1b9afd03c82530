// SPDX-License-Identifier: MIT
// How INT, TERM and HUP reach a run. A HUP that was ignored at the start (nohup) stays ignored.
#pragma once

#include "common/base/exit_code.h"
#include "dispatcher/core/run_end.h"

namespace workpool::dispatcher {

StopKind stop_kind_of(int signal_number);
// The exit code of a run that SIGINT, SIGTERM or SIGHUP has stopped before its end.
ExitCode stopped_by(int signal_number);

// While JOBS is checked and RESULTS is read nothing runs yet: a stop ends the program at once.
void let_signals_end_it();

// Blocks the signals and returns a non-blocking signalfd, owned by the caller, to read them from. Call it
// before any thread that stays is started, so that every thread blocks them. Throws std::system_error.
int block_signals();

// Nobody reads what jobs write any more, as with `| head`: ends as other programs do then, without a word.
void end_by_closed_pipe();
// The exit status that a shell has of a program that ended so.
inline constexpr int kEndedByClosedPipe = 128 + 13;

}  // namespace workpool::dispatcher
