// SPDX-License-Identifier: MIT
#include "worker/io/engine_log.h"

namespace workpool::worker {
namespace {

const char* name_of(AttemptEnd how) {
  switch (how) {
    case AttemptEnd::kOutcome:
      return "ended";
    case AttemptEnd::kNotStarted:
      return "not_started";
    case AttemptEnd::kStopped:
      return "stopped";
    case AttemptEnd::kNoResources:
      return "no_resources";
    case AttemptEnd::kDoubtful:
      return "ended_by_signal";
  }
  return "";
}

}  // namespace

void log_started(Log& log, const StartAttempts& starts) {
  if (!log.shows(LogLevel::kDebug)) return;
  for (const auto& [token, order] : starts.attempts)
    log.debug("job_started", {{"id", order.full_id()}, {"attempt", order.attempt}, {"token", token}});
}

void log_event(Log& log, const Event& event) {
  if (!log.shows(LogLevel::kDebug)) return;
  if (const auto* all = std::get_if<AttemptsEnded>(&event)) {
    for (const AttemptEnded& ended : all->attempts) {
      log.debug("job_ended", {{"token", ended.token},
                              {"how", name_of(ended.how)},
                              {"status", workpool::name_of(ended.outcome.status)},
                              {"ran", ended.ran}});
    }
  } else if (const auto* lane = std::get_if<LaneReceived>(&event);
             lane != nullptr && log.shows(LogLevel::kTrace)) {
    log.write(LogLevel::kTrace, "message_received",
              {{"type", workpool::name_of(lane->message)},
               {"session", hex64(lane->header.session.value)},
               {"seq", lane->header.seq}});
  }
}

void log_sent(Log& log, const char* type, const Header& header) {
  if (!log.shows(LogLevel::kTrace)) return;
  log.write(LogLevel::kTrace, "message_sent",
            {{"type", type}, {"session", hex64(header.session.value)}, {"seq", header.seq}});
}

}  // namespace workpool::worker
