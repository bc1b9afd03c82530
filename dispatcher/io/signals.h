// SPDX-License-Identifier: MIT
// How INT, TERM and HUP reach a run. A HUP that was ignored at the start (nohup) stays ignored.
#pragma once

namespace workpool::dispatcher {

// While JOBS is checked and RESULTS read again nothing runs yet: a stop ends the program at once, 130 or 143.
void let_signals_end_it();

// From here on they are read from the descriptor that this gives (a signalfd, non-blocking; the caller owns
// it). Called before any thread that stays is made, so that every thread blocks them.
// Throws std::system_error.
int block_signals();

}  // namespace workpool::dispatcher
