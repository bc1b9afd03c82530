// SPDX-License-Identifier: MIT
// What --log-level debug (a line for each job given and recorded) and trace (a line for each message
// of lanes and sink) show of the dispatcher's loop. Each costs a comparison if it is not asked for.
#pragma once

#include "common/io/log.h"
#include "dispatcher/core/facts.h"

namespace workpool::dispatcher {

void log_recorded(Log& log, const Record& record);
void log_received(Log& log, const Event& event);  // a message of the sink; ignores other events
void log_sent(Log& log, const SendLane& send);

}  // namespace workpool::dispatcher
