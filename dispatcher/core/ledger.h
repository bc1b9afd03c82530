// SPDX-License-Identifier: MIT
// Which job goes to a worker, comes back, is lost or is recorded: it keeps the jobs (JobBook) and who holds
// them (Holdings) in step, and decides which result counts. A job is Assigned exactly while a live holding of
// it exists.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "dispatcher/core/facts.h"
#include "dispatcher/core/holdings.h"
#include "dispatcher/core/job_book.h"
#include "dispatcher/core/journal_book.h"
#include "dispatcher/core/step.h"
#include "dispatcher/core/streaks.h"
#include "dispatcher/core/worker_table.h"

namespace workpool::dispatcher {

struct Counts {
  std::uint64_t ok = 0;
  std::uint64_t failed = 0;
  std::uint64_t timeout = 0;
  std::uint64_t quarantined = 0;
  std::uint64_t invalid = 0;
  std::uint64_t before = 0;         // in an earlier start; counted in those above too
  std::uint64_t before_not_ok = 0;  // of these
  std::uint64_t retried = 0;
  std::uint64_t redelivered = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t cut_outputs = 0;

  std::uint64_t& of(Status status);
  std::uint64_t not_ok() const { return failed + timeout + quarantined + invalid; }
  Tally tally() const { return {ok, ok + not_ok() - before, not_ok() - before_not_ok}; }
};

class Ledger {
 public:
  // `start`: when this start of the dispatcher began; nothing was given before.
  Ledger(const SchedulerOptions& options, JobIndex& index, RequirementClasses& classes, WorkerTable& workers,
         Streaks& streaks, JournalBook& journal, Time start);

  // Views. What is changed is changed by the verbs below.
  const JobBook& jobs() const { return jobs_; }
  const Holdings& holdings() const { return holdings_; }
  const Counts& counts() const { return counts_; }
  std::size_t early() const { return early_; }  // results that wait for the line of their job to be read

  // ---- the queue ----
  // JobBook::fetch; of those that must run alone, or wait for certain workers, for all.
  bool read_ahead(std::uint32_t requirement, std::size_t want, Step& step);
  void read_ahead_special(Step& step);
  // JobBook::set_choosy.
  void stop_choosing(JobRow row) { jobs_.set_choosy(row, false); }
  // Until then a job that nobody here can start waits for another worker. In the past if none does.
  Time others_may_come_until() const { return others_may_come_until_; }
  bool free_class(std::uint32_t requirement) { return jobs_.free_class(requirement); }
  // What has waited for its backoff is ready.
  void wake_due(Time now);
  // When it is due next.
  std::optional<Time> next_wake() const {
    const std::optional<Time> job = jobs_.next_wake();
    return job && (!others_due_ || *job < *others_due_) ? job : others_due_;
  }

  // ---- down ----
  void give(Session& session, JobRow row, Step& step);
  // Everything that the session holds, or these of it, but for what a recall is out for.
  void recall(Session& session, Step& step);
  void recall(Session& session, const std::vector<HoldingRow>& rows, Step& step);
  void cancel_held(Session& session, Step& step);
  // These jobs run elsewhere from now on, if another worker could run them; this one is told to cancel them.
  // That it runs them does not count any more if HELD says so; an ok of one of them does.
  void take_away(Session& session, const std::vector<HoldingRow>& rows, Step& step);

  // ---- up ----
  // A result that came in sink message `seq` of `session` (nullptr: of an ended or foreign one, from which
  // only an ok counts). A failure counts if the session holds that attempt, or hands it over while no session
  // holds the job. Returns the record that the message's ack has to wait for (AckLedger::received). Returns
  // nullopt and does nothing if the result cannot be true.
  std::optional<std::uint64_t> take_result(Session* session, SessionId from, std::uint64_t seq,
                                           JobResult&& result, Step& step);
  // kUnasked: we had not asked for it back. kForOthers: nor this, but another worker may have the time for it
  // that this one lacks.
  enum class Returns : std::uint8_t { kAsked, kUnasked, kForOthers };
  Returns take_returned(Session& session, const ReturnedJob& returned, Step& step);
  // Holdings::note_ended, of the job that the worker was given under this handle. False if it holds none.
  bool note_ended(Session& session, Handle handle, Time now);
  // What a beat says of jobs that run, and how far they are; of jobs that the session does not hold it says
  // nothing. Whether it was news that one of them runs.
  bool note_running(const Session& session, const Beat& beat, Time now);
  // Jobs that a worker says it runs since before this session. Counts only what it was given in this start of
  // the dispatcher, or may have been given in one before (Worker::from_before); it is told to cancel the
  // rest. False, and nothing is done, if it names more than it can have been given. REQUIRES: the session
  // has not said READY.
  bool adopt(Session& session, const Held& held, Step& step);
  // READY: what the session inherited and has neither named nor answered is requeued.
  void drop_unconfirmed(Session& session, Step& step);
  // The line of a job has been read; an early result may now be recorded.
  void take_loaded(LoadedJob&& job, Step& step);
  // JobBook::arrived.
  void take_arrived(LoadedJob&& job, Step& step) { jobs_.arrived(std::move(job), step.now); }

  // What runs and has done so for over a second, as far as workers have said so: `most` of these jobs, the
  // longest first. Looks at everything that is held.
  RunningList running(Time now, std::size_t most) const;

  // ---- sessions ----
  void inherit(Session& from, Session& to);
  // All jobs of a session go back to the queue. Returns those that may have been running: those that have
  // ended without a result, and the first ones of the rest, as many as the session has slots. If it was not
  // lost with them, returns none, and no attempt counts as lost. kForItsConduct: it kept jobs that it did not
  // begin, so that it runs those does not count any more if HELD says so.
  enum class Loss : std::uint8_t { kNone, kLost, kForItsConduct };
  std::vector<Handle> lose(Session& session, Loss loss, Step& step);

  // ---- blame ----
  // Whether the worker was given this job in this start of the dispatcher.
  bool had(const Worker& worker, JobRow job) const { return holdings_.find(job, worker.id) != kNoHolding; }
  // Whether what a worker says about the end of this job is believed: it was given the job in this start, or
  // may have been in one before and nobody has had the job since.
  bool believes(const Worker& worker, JobRow job) const;
  // A death that `worker` reports names the job, or the job may have caused it (`lost`).
  void name_in_death(JobRow row, const std::string& worker);
  void count_loss(JobRow row);

  // ---- for good ----
  // A failure that was recorded in a streak of this session is no result any more: its job is open again, and
  // runs on another worker. Returns what was reported of it. REQUIRES: SchedulerOptions::may_withdraw.
  JobEnded withdraw(RecordedFailure&& failure, const Session& of, Step& step);
  std::uint64_t withdrawn() const { return withdrawn_; }  // so far
  // The counts without what is not durable yet: what a later run finds.
  Counts durable_counts() const;
  // Jobs that an earlier start of the run has finished.
  void count_done_before(Status status, std::uint64_t jobs);
  void quarantine(JobRow row, const std::string& evidence, Step& step);
  void record_invalid(const JobFacts& facts, const std::string& message, Step& step);

 private:
  // Attempts are counted on from the one that a worker names, so it must not be near its type's end.
  static constexpr std::uint32_t kAttemptMost = 1 << 30;

  JobRef ref_of(const Holding& holding) const;
  // kNoHolding if the session was not given it by that handle.
  HoldingRow held_as(const Session& session, Handle handle) const;
  // Its class if that has limits, else kUnlimited.
  std::uint32_t limited(const ActiveJob& job) const;
  // The session's holding of this very attempt: by the handle it was given with, or 0 if it was taken over
  // from an earlier session. Attempts restart with the dispatcher, so an old result could be mistaken for one
  // of the current attempt.
  HoldingRow held_attempt(const Session* session, JobRow job, std::uint32_t attempt, Handle handle) const;
  void keep_early(ActiveJob& job, JobResult&& result, SessionId from, const std::string& worker);
  bool ok_counts(const Worker* sender, JobRow row) const;
  bool failure_counts(const Session* session, JobRow row, const JobResult& result) const;
  // What cannot be true in this result; nullopt if everything can.
  std::optional<Untruth> untruth_in(const Session& session, JobRow row, const JobResult& result,
                                    Time now) const;
  static void report_untrue(Session& session, Untruth what, std::string id, Step& step);
  // A job has ended there as it should.
  void note_ok(JobRow row, Session* session, Handle handle);
  // Whether a failure that counts is no result, because the job runs again: on another worker at once, or as
  // a retry. `held`: the holding that the failure ends, if any.
  bool runs_again(JobRow row, HoldingRow held, Session& session, const JobResult& result, Step& step);
  // From now on the job goes to another worker if it can. False if that is known already.
  static bool avoid(ActiveJob& job, WorkerId worker);
  bool goes_elsewhere(JobRow row, const Session& session, const JobResult& result, Time now);
  void give_again(JobRow row, HoldingRow held, const JobResult& result, Duration delay, Step& step);
  // A job whose failure was withdrawn has its new record now.
  void note_replaced(Status withdrawn);
  std::uint64_t settle(JobRow row, JobResult&& result, const std::string& worker, Session* session,
                       Step& step);
  std::uint64_t record(JobRow row, JobResult&& result, const std::string& worker, Step& step);
  void cancel(HoldingRow row, Step& step);
  void cancel_all_but(HoldingRow kept, JobRow job, Step& step);
  // False if the worker is to cancel it.
  bool adopt(Session& session, const HeldJob& held, Step& step);
  void requeue_unless_held(JobRow job, Duration delay, Step& step);
  // Counts it and gives its entry of the journal to `step`; the caller fills it in.
  Record& persist(Status status, Step& step);

  JobBook jobs_;
  Holdings holdings_;
  WorkerTable& workers_;
  Streaks& streaks_;
  JournalBook& journal_;
  Time start_;
  bool may_withdraw_;
  bool listening_;
  Time others_may_come_until_;      // set when a first job cannot start
  std::optional<Time> others_due_;  // the same until then
  Counts counts_;
  std::size_t early_ = 0;
  // Failures that were withdrawn still stand in RESULTS: of jobs that are open, and of jobs with a newer
  // record that may not be durable yet.
  struct Replaced {
    std::uint64_t by = 0;  // the entry of the journal
    Status status = Status::kFailed;
  };
  Counts open_withdrawn_;
  std::deque<Replaced> replaced_;
  std::uint64_t withdrawn_ = 0;
};

// The last line of `bytes` that is not blank, for people; empty if there is none.
std::string last_line(const std::string& bytes);

}  // namespace workpool::dispatcher
