// SPDX-License-Identifier: MIT
// Who holds what: one row for each job that a session holds, or that a worker may still run although it does
// not count any more. This is the only place that knows it. A job may be held by several sessions at once.
//
//   give ──> Sent ──RECALL──> Recalled         the new session of a worker takes over everything
//             │                  │             that the old one held:
//             │                  │
//             ├────CANCEL────────┴──> Cancelled      any of these ──inherit──> Inherited
//             │                           ^
//   adopt ──> Confirmed ──CANCEL──────────┘          Inherited ──named in HELD──> Confirmed
//
//   Sent or Recalled ──named in a BEAT──> Doubtful: its slots are free, its result comes in a moment; it
//   keeps this state when it is cancelled
//
//   any of these ──give_up──> GivenUp: the session is lost, the job is another's now, or is taken away
//   any ──end──> gone: returned, failed, or recorded
//
// What is held counts against its limits here (Limits), and nowhere else.
//
// Rows are used again without an allocation. Each stands in two lists: of its session, in the order in which
// the worker starts its jobs, and of its job.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "dispatcher/core/job_table.h"
#include "dispatcher/core/limits.h"

namespace workpool::dispatcher {

using HoldingRow = std::uint32_t;
inline constexpr HoldingRow kNoHolding = 0xffffffff;
inline constexpr std::uint32_t kUnlimited = 0xffffffff;

struct Sent {};       // down the lane; the worker has said nothing about it yet
struct Confirmed {};  // named in HELD: it runs
struct Inherited {};  // held by an earlier session of the worker; HELD must name it before READY
struct Recalled {     // to be returned unless it runs already
  Time since;
};
struct Cancelled {};  // to be stopped
struct Doubtful {     // over; the worker holds the result back until it is clear what ended the job
  Time since;
  bool cancelled = false;
};
struct GivenUp {  // does not count any more, and is in no session's list; this worker may run it nevertheless
  WorkerId worker;
  bool for_good = false;  // taken away: that the worker says it runs does not count either
};
using HoldingPhase = std::variant<Sent, Confirmed, Inherited, Recalled, Cancelled, Doubtful, GivenUp>;

class Holder;

struct Holding {
  Handle handle;              // as the worker knows it: 0 if it was given in an earlier session
  Time since;                 // when it was given, or began, if the worker has named it in HELD
  std::optional<Time> begun;  // when it began, as the worker says
  Duration queued{0};         // from when the job was last ready to when it was given
  std::uint64_t bytes = 0;    // of the work that was sent
  HoldingPhase phase;
  Holder* holder = nullptr;  // nullptr once it is given up
  JobRow job = 0;
  std::uint32_t attempt = 0;
  std::uint32_t slots = 1;
  std::uint32_t limited = kUnlimited;  // its requirement class, if that has limits
  bool start_known = false;            // to them
  Boxed<Progress> progress{};          // as the job last said

  template <class Phase>
  bool is() const {
    return std::holds_alternative<Phase>(phase);
  }
  // As far as is known: a worker has it at least since then, and says so once it has run for a second.
  Time runs_since() const { return begun.value_or(since); }
  // Whether it counts: its session answers for it.
  bool live() const { return holder != nullptr; }
  bool is_taken_away() const {
    const auto* given_up = std::get_if<GivenUp>(&phase);
    return given_up != nullptr && given_up->for_good;
  }

 private:
  friend class Holdings;
  HoldingRow next_ = 0;  // neighbours in the session's list; `next_` also of free rows
  HoldingRow previous_ = 0;
  HoldingRow next_of_job_ = 0;
};

// What one session holds. Only Holdings changes it.
class Holder {
 public:
  Holder(SessionId session, WorkerId worker) : session_(session), worker_(worker) {}
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  SessionId session() const { return session_; }
  WorkerId worker() const { return worker_; }
  std::uint32_t jobs() const { return jobs_; }
  // The slots of these jobs together, without those that have ended.
  std::uint32_t slots() const { return slots_; }
  std::uint32_t doubtful() const { return doubtful_; }  // how many of these have ended
  std::uint64_t bytes() const { return bytes_; }  // of their work, as far as it was sent in this session
  bool alone() const { return alone_; }           // holds a job that must run alone

 private:
  friend class Holdings;
  SessionId session_;
  WorkerId worker_;
  HoldingRow first_ = kNoHolding;
  HoldingRow last_ = kNoHolding;
  std::uint32_t jobs_ = 0;
  std::uint32_t slots_ = 0;
  std::uint32_t doubtful_ = 0;
  std::uint64_t bytes_ = 0;
  bool alone_ = false;
};

class Holdings {
 public:
  // So many workers that had a job and gave no answer are remembered with it, the last ones.
  static constexpr std::size_t kGivenUpMost = 4;
  // So many jobs of a session may have ended without a result; more keep their slots.
  static constexpr std::uint32_t kDoubtfulMost = 4096;

  explicit Holdings(Limits& limits) : limits_(limits) {}

  struct New {
    JobRow job = 0;
    std::uint32_t slots = 1;
    std::uint32_t attempt = 0;
    Handle handle{};
    Time since{};
    Duration queued{0};
    std::uint64_t bytes = 0;
    bool alone = false;
    std::uint32_t limited = kUnlimited;
  };
  // REQUIRES of both: the session does not hold the job.
  HoldingRow give(Holder& to, const New& given);
  HoldingRow adopt(Holder& to, const New& named, Time begun);
  // The worker names it: it runs, as this attempt. REQUIRES: live.
  void confirm(HoldingRow row, std::uint32_t attempt, Time since, Time begun);
  // False, and nothing is done, unless the worker has it from this session and was told nothing since.
  bool recall(HoldingRow row, Time now);
  // False, and nothing is done, if the worker was told so already, or has not said whether it has the job.
  bool cancel(HoldingRow row);
  // The worker says so: its slots are free. False, and nothing is done, if it was cancelled or has been named
  // before, or was not given in this session, or if as many have ended as are believed.
  bool note_ended(HoldingRow row, Time now);
  // The worker says that it runs since then; no earlier than it was given. False if it has said so before.
  // REQUIRES: live.
  bool note_begun(HoldingRow row, Time begun);
  void note_progress(HoldingRow row, Progress&& progress);
  // It has started, at that time at the latest, or never will. Without either it counts as started when it
  // ends. REQUIRES of both: live.
  void note_started(HoldingRow row, Time at);
  void note_unstarted(HoldingRow row);
  // Everything that `from` holds goes to `to`, in order. REQUIRES: `to` holds nothing.
  void inherit(Holder& from, Holder& to);
  void give_up(HoldingRow row, bool for_good = false);  // REQUIRES: live
  void end(HoldingRow row);
  void end_all(JobRow job);

  const Holding& at(HoldingRow row) const { return rows_[row]; }
  std::size_t live() const { return live_; }  // over all sessions

  // The rows of a session, in order.
  HoldingRow first(const Holder& holder) const { return holder.first_; }
  HoldingRow last(const Holder& holder) const { return holder.last_; }
  HoldingRow next(HoldingRow row) const { return rows_[row].next_; }
  HoldingRow previous(HoldingRow row) const { return rows_[row].previous_; }
  // What runs there, as far as can be known: a worker starts its jobs in the order in which it got them, so
  // these are the first ones that fit its slots together; the rest waits, or has been handed to a thread that
  // is still busy. Those that have ended do not count, and may stand between them.
  struct Running {
    std::uint32_t jobs = 0;
    std::uint32_t slots = 0;
    HoldingRow next = kNoHolding;  // the first one that does not run
  };
  Running running(const Holder& holder, std::uint32_t slots) const;

  // The rows of a job: the live ones and those given up, the newest first.
  HoldingRow first_of(JobRow job) const { return job < of_job_.size() ? of_job_[job] : kNoHolding; }
  HoldingRow next_of_job(HoldingRow row) const { return rows_[row].next_of_job_; }
  // The newest live one.
  HoldingRow live_of(JobRow job) const {
    HoldingRow row = first_of(job);
    while (row != kNoHolding && !rows_[row].live()) row = rows_[row].next_of_job_;
    return row;
  }
  HoldingRow find(JobRow job, const Holder& holder) const {
    HoldingRow row = first_of(job);
    while (row != kNoHolding && rows_[row].holder != &holder) row = rows_[row].next_of_job_;
    return row;
  }
  // Live or given up.
  HoldingRow find(JobRow job, WorkerId worker) const;

 private:
  HoldingRow add(Holder& to, const New& given, const HoldingPhase& phase);
  void link(HoldingRow row);
  void unlink(HoldingRow row);
  void free(HoldingRow row);
  void forget_oldest(JobRow job);

  Limits& limits_;
  std::vector<Holding> rows_;
  std::vector<HoldingRow> of_job_;  // by JobRow
  HoldingRow first_free_ = kNoHolding;
  std::size_t live_ = 0;
};

}  // namespace workpool::dispatcher
