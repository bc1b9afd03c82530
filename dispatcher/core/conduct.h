// SPDX-License-Identifier: MIT
// Workers that are heard but do not do what they should: a session that leaves a RECALL unanswered, keeps a
// result back, or never gets READY, is ended; a job that runs far beyond its timeout is named, once; jobs
// that a worker does not start are taken away and go to others. Looks every second.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "dispatcher/core/ledger.h"
#include "dispatcher/core/sessions.h"

namespace workpool::dispatcher {

class Conduct {
 public:
  Conduct(const SchedulerOptions& options, Ledger& ledger, WorkerTable& workers, Sessions& sessions)
      : options_(options), ledger_(ledger), workers_(workers), sessions_(sessions) {}

  // After the sockets have been drained.
  void judge(Step& step);

 private:
  // A job with a timeout that was seen running at the last look.
  struct Seen {
    Handle job;
    std::uint32_t attempt = 0;
    Time since;
    bool named = false;
  };

  std::optional<LeaveCause> fault_of(const Session& session, Time now) const;
  bool leaves_recall_unanswered(const Session& session, Time now) const;
  bool owes_a_result(const Session& session, Time now) const;
  void look_at_timeouts(const Session& session, Step& step);
  void look_at_starts(Session& session, Step& step);
  bool has_not_started(const Session& session, Time now) const;
  void take_unstarted(Session& session, Step& step);

  const SchedulerOptions& options_;
  Ledger& ledger_;
  WorkerTable& workers_;
  Sessions& sessions_;
  std::map<HoldingRow, Seen> seen_;  // of the last look
  std::map<HoldingRow, Seen> found_;
  // Sessions with a job that should run and is not said to, and since when nothing else has come of their
  // jobs; of the last look.
  std::map<SessionId, Time> stalled_;
  std::map<SessionId, Time> stalled_now_;
  Time looked_at_;
};

}  // namespace workpool::dispatcher
