// SPDX-License-Identifier: MIT
// What the end of a job's attempt says, beside the bare status. Pure.
#pragma once

#include <csignal>
#include <string>
#include <utility>

#include "common/base/outcome.h"
#include "common/base/units.h"

namespace workpool::worker {

// Whether a command that died of `signal` may have been hit by the stop of the whole worker: systemd and
// Slurm signal the whole group, in any order.
inline bool may_be_of_a_stop(int signal) {
  return signal == SIGHUP || signal == SIGINT || signal == SIGTERM || signal == SIGKILL;
}

// `outcome`: how it ended when its timeout had come; exit or signal and output stay.
inline Outcome timed_out(Outcome outcome, Duration timeout) {
  outcome.status = Status::kTimeout;
  outcome.kind = ErrorKind::kTimeout;
  outcome.message = "timed out after " + format_duration(timeout);
  return outcome;
}

}  // namespace workpool::worker
