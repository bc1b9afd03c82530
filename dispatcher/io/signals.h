// SPDX-License-Identifier: MIT
// How signals reach a run: INT, TERM and HUP stop it, USR1 asks for its status, USR2 and QUIT are ignored,
// and it says so. A HUP that was ignored at the start (nohup) stays ignored.
#pragma once

#include <string>

#include "common/base/exit_code.h"
#include "dispatcher/core/run_end.h"

namespace workpool::dispatcher {

// Whether it is one of those that stop a run.
bool stops(int signal_number);
// REQUIRES: stops(signal_number).
StopKind stop_kind_of(int signal_number);
// What is said of one that is ignored.
std::string ignored_text(int signal_number);
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
