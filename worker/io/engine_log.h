// SPDX-License-Identifier: MIT
// What --log-level debug (a line for each job started and ended, the same token in both) and trace (a line
// for each message of lane and sink) show of the engine's loop. Each costs a comparison if it is not asked
// for.
#pragma once

#include "common/io/log.h"
#include "worker/core/facts.h"

namespace workpool::worker {

void log_started(Log& log, const StartAttempt& start);
void log_event(Log& log, const Event& event);  // a job's end, a message of the lane; nothing of any other
void log_sent(Log& log, const SendSink& send);

}  // namespace workpool::worker
