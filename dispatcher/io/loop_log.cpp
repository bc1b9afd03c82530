// SPDX-License-Identifier: MIT
#include "dispatcher/io/loop_log.h"

namespace workpool::dispatcher {

void log_recorded(Log& log, const Record& record) {
  if (!log.shows(LogLevel::kDebug)) return;
  log.debug("job_recorded", {{"id", record.facts.full_id()},
                             {"attempt", record.attempt},
                             {"status", name_of(record.outcome.status)},
                             {"worker", record.worker},
                             {"ran", record.ran}});
}

void log_received(Log& log, const Event& event) {
  const auto* sink = std::get_if<SinkReceived>(&event);
  if (sink == nullptr || !log.shows(LogLevel::kTrace)) return;
  log.write(LogLevel::kTrace, "message_received",
            {{"type", name_of(sink->message)},
             {"session", hex64(sink->header.session.value)},
             {"seq", sink->header.seq}});
}

void log_sent(Log& log, const SendLane& send) {
  if (!log.shows(LogLevel::kDebug)) return;
  const std::string session = hex64(send.session.value);
  if (const auto* jobs = std::get_if<Jobs>(&send.message)) {
    for (const JobOrder& order : jobs->jobs)
      log.debug("job_given", {{"id", order.full_id()}, {"attempt", order.attempt}, {"session", session}});
  }
  log.write(LogLevel::kTrace, "message_sent", {{"type", name_of(send.message)}, {"session", session}});
}

}  // namespace workpool::dispatcher
