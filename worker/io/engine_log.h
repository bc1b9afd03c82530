// SPDX-License-Identifier: MIT
// What the engine's loop logs at --log-level debug (a line for each job that starts or ends, with the same
// token in both) and trace (a line for each message of lane and sink). A level that is not shown costs one
// comparison per call.
#pragma once

#include "common/io/log.h"
#include "worker/core/facts.h"

namespace workpool::worker {

void log_started(Log& log, const StartAttempts& starts);
void log_event(Log& log, const Event& event);  // logs a job's end or a lane message, nothing else
void log_sent(Log& log, const char* type, const Header& header);

}  // namespace workpool::worker
