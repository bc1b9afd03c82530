// SPDX-License-Identifier: MIT
// Which workers get no work because everything fails there, and only there (docs/design.md, "Bad machines").
//
//   taking work ──10 quick failures in a row, others succeed──> on trial ──that job is ok elsewhere──>
//   Benched
//        ^                                                         │                                      │
//        ├──── it fails elsewhere too, or takes over a minute ─────┘                                      │
//        └──── a probe is ok, nobody else could do what is left, or nothing like it is left ──────────────┘
//
// A worker on the bench gets one job a minute (Placement::place_probes). What was recorded of the failures in
// its streak is withdrawn. Nobody is benched, or on trial, without whom some job could not run.
#pragma once

#include <optional>

#include "dispatcher/core/ledger.h"
#include "dispatcher/core/streaks.h"

namespace workpool::dispatcher {

class Bench {
 public:
  Bench(const SchedulerOptions& options, Ledger& ledger, RequirementClasses& classes, WorkerTable& workers,
        Streaks& streaks)
      : options_(options), ledger_(ledger), classes_(classes), workers_(workers), streaks_(streaks) {}

  // After the sockets have been drained, while the run goes on. `input_ended`: no more jobs come.
  void judge(bool input_ended, Step& step);

 private:
  // What speaks for it that the worker is to blame, not its jobs.
  struct Evidence {
    std::uint64_t failed = 0;       // of the streak, of requirements whose jobs succeed elsewhere
    EndCounts elsewhere;            // meanwhile
    std::uint32_t requirement = 0;  // the one with most of these failures
  };
  Evidence evidence_of(const Session& session) const;
  std::uint64_t failed_at_other_suspects(const Session& session, const Streak::OfClass& of) const;
  void judge_suspect(Session& session, Step& step);
  bool is_proven(const Streak& streak, const Evidence& evidence) const;
  void try_elsewhere(Session& session, Step& step);
  void bench(Session& session, const Evidence& evidence, Step& step);
  void withdraw(Session& session, std::size_t most, Step& step);
  void look_at_benched(bool input_ended, Step& step);
  // Whether each job that is left and that this one could run could be run by another, too.
  bool is_dispensable(const Session& session) const;

  const SchedulerOptions& options_;
  Ledger& ledger_;
  RequirementClasses& classes_;
  WorkerTable& workers_;
  Streaks& streaks_;
  Time judged_at_;
};

}  // namespace workpool::dispatcher
