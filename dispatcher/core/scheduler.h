// SPDX-License-Identifier: MIT
// The dispatcher's judgement: a pure state machine without sockets, clock, disk, threads or randomness. The
// loop feeds it events in the order in which they happened. Then it carries out the actions of these steps,
// those of a kind in the order in which they come: record, then send, then report. So whatever is sent or
// reported because of a record comes in the same step or later, and what needs the record on disk only after
// JournalState has said so. The same events at the same times give the same actions. One thread.
#pragma once

#include <optional>
#include <vector>

#include "dispatcher/core/bench.h"
#include "dispatcher/core/blame.h"
#include "dispatcher/core/conduct.h"
#include "dispatcher/core/ending.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/core/ledger.h"
#include "dispatcher/core/placement.h"
#include "dispatcher/core/sessions.h"
#include "dispatcher/core/work_done.h"

namespace workpool::dispatcher {

class Scheduler {
 public:
  // `index`: sealed, with its queues open; outlives the scheduler; empty if all jobs arrive one by one.
  // `start`: when registration was bound.
  Scheduler(const SchedulerOptions& options, JobIndex& index, Time start);
  Scheduler(const Scheduler&) = delete;
  Scheduler& operator=(const Scheduler&) = delete;

  // Appends to `actions`. `now` never goes back. After every batch of events comes a Drained.
  void step(Event&& event, Time now, Actions& actions);
  // When a Drained is due at the latest, even if nothing happens; nullopt if none is due.
  std::optional<Time> next_deadline() const;

  Snapshot snapshot(Time now) const;
  std::vector<WorkerView> workers(Time now) const;
  // Of every worker that was given a name in this start, by name; those that have left included.
  std::vector<WorkDone> work_done() const;
  // Looks at every job that runs, so it is for people, not for every step.
  RunningJobs running_jobs(Time now) const;
  RunningList running(Time now, std::size_t most) const { return ledger_.running(now, most); }
  std::vector<HeldUp> held_up() const { return placement_.held_up(); }
  RunPhase phase() const { return ending_.phase(); }

  // For checks of the simulator and the fuzzer.
  const Ledger& ledger() const { return ledger_; }
  const Placement& placement() const { return placement_; }
  const Sessions& sessions() const { return sessions_; }
  const WorkerTable& worker_table() const { return workers_; }

 private:
  void drained(bool whole, Step& step);
  void journal_changed(const JournalState& state, Step& step);

  SchedulerOptions options_;
  WorkerTable workers_;
  RequirementClasses classes_;
  JournalBook journal_;
  Streaks streaks_;
  Ledger ledger_;
  Bench bench_;
  Blame blame_;
  Sessions sessions_;
  Conduct conduct_;
  Placement placement_;
  Ending ending_;
  JobsMessages jobs_messages_;  // of the step that is under way
  Time last_drained_;
  Time limits_held_until_;  // after a restart
};

}  // namespace workpool::dispatcher
