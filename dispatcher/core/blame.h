// SPDX-License-Identifier: MIT
// Which job is to blame when an engine dies (docs/design.md, "Retries and blame"). A death that a supervisor
// reports (DIED) names the jobs that ran; if the whole worker is gone, the jobs that may have run count as
// lost. A job that was named as often as the crash limit, or lost twice as often, runs alone. A death in
// which it ran alone quarantines it, once it was named as often as the crash limit or lost three times as
// often.
#pragma once

#include <set>
#include <vector>

#include "dispatcher/core/ledger.h"

namespace workpool::dispatcher {

class Blame {
 public:
  Blame(const SchedulerOptions& options, Ledger& ledger, WorkerTable& workers)
      : options_(options), ledger_(ledger), workers_(workers) {}

  // The engine's session is over, and any of these jobs may have ended it. Waits for DIED for the worker
  // timeout.
  void suspect(Worker& worker, std::uint32_t engine, std::vector<Handle> candidates, Step& step);
  // The same engine is back, so it did not die.
  void acquit(Worker& worker, std::uint32_t engine);
  void died(Worker& worker, const Died& died, Step& step);
  // No DIED came in time.
  void judge_overdue(Step& step);
  std::optional<Time> next_deadline() const;

 private:
  void name(Worker& worker, const Death& death, bool first, Step& step);
  void judge_alone(const Key& key, const std::string& cause, Step& step);
  void lose(Worker& worker, Step& step);

  const SchedulerOptions& options_;
  Ledger& ledger_;
  WorkerTable& workers_;
  std::set<WorkerId> waiting_;  // workers that may have a PendingBlame; few of all that ever came
};

}  // namespace workpool::dispatcher
