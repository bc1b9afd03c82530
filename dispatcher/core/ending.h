// SPDX-License-Identifier: MIT
// How a run comes to its end.
//
//   Running ──all recorded, unsatisfiable──────────────┐
//      │ first signal, changed jobs file, --max-fails  v
//      ├──> Draining ──nothing runs any more──> Flushing ──all durable──> Stopping ──goodbyes──> Finished
//      │       │ second signal, grace over        ^
//      └───────┴──> Cancelling ──────────────────┘            a third signal: Finished at once
#pragma once

#include <optional>

#include "dispatcher/core/ledger.h"
#include "dispatcher/core/sessions.h"

namespace workpool::dispatcher {

enum class RunPhase : std::uint8_t { kRunning, kDraining, kCancelling, kFlushing, kStopping, kFinished };
const char* name_of(RunPhase phase);

class Ending {
 public:
  // `start`: when registration was bound.
  Ending(const SchedulerOptions& options, Ledger& ledger, WorkerTable& workers, Sessions& sessions,
         const JournalBook& journal, Time start)
      : options_(options),
        ledger_(ledger),
        workers_(workers),
        sessions_(sessions),
        journal_(journal),
        start_(start) {}

  void stop(StopKind kind, Step& step);
  void jobs_file_changed(std::uint64_t line, Step& step);
  void input_ended() { input_ended_ = true; }
  bool has_all_input() const { return input_ended_; }
  void input_broken(Step& step);
  void local_worker_failed(LocalWorkerFailed&& event, Step& step);
  // Nothing more will ever be written.
  void journal_failed(Step& step) { cancel(step); }

  // Whether --max-fails or --until-ok stops the run; before more is handed out.
  void look_at_results(Step& step);
  // After the sockets have been drained. `pause`: how long the dispatcher itself stood still, which is no
  // time in which a worker could come.
  void advance(Duration pause, Step& step);
  std::optional<Time> next_deadline() const;

  bool may_dispatch() const { return phase_ == RunPhase::kRunning && !journal_.state().blocked; }
  RunPhase phase() const { return phase_; }
  // A requirement of jobs that are left which no worker here meets; nullopt if there is none.
  const std::optional<Requirement>& unsatisfiable() const { return unsatisfiable_; }

 private:
  void drain(Step& step);
  void cancel(Step& step);
  void look_for_unsatisfiable(Step& step);
  void warn_of_unmet(Step& step);
  void give_up_unsatisfiable(Step& step);
  void flush(Step& step);
  void advance_flushing(Step& step);
  void advance_stopping(Step& step);
  bool told_to_leave(Time now) const;
  Time open_until(Time now) const;
  void finish(Step& step);
  bool complete() const;
  void break_off(RunEnd cause, Step& step);
  RunEnd run_end() const;

  const SchedulerOptions& options_;
  Ledger& ledger_;
  WorkerTable& workers_;
  Sessions& sessions_;
  const JournalBook& journal_;
  Time start_;
  RunPhase phase_ = RunPhase::kRunning;
  bool input_ended_ = false;
  std::optional<RunEnd> broken_;  // what ended the run early, apart from signals and the journal
  int signals_ = 0;
  StopKind first_signal_ = StopKind::kInterrupt;
  std::optional<Time> cancel_at_;     // a first SIGTERM becomes a second then
  Time early_limit_;                  // of a drain
  std::optional<Time> cancel_limit_;  // what has not been cancelled by then is left
  Time stop_said_;

  struct Unmet {
    std::uint32_t requirement = 0;
    std::uint64_t serial = 0;  // RequirementClass::serial
    Time since;
    bool warned = false;
  };
  std::vector<Unmet> unmet_;  // by requirement
  std::optional<Time> only_unmet_since_;
  std::optional<Requirement> unsatisfiable_;
  Time looked_at_;
  std::uint64_t newly_met_ = 0;  // RequirementClasses::newly_met then
  Time advanced_at_;
};

}  // namespace workpool::dispatcher
