// SPDX-License-Identifier: MIT
#include "dispatcher/core/ledger.h"

#include <algorithm>

#include "common/base/check.h"
#include "dispatcher/core/retry_policy.h"

namespace workpool::dispatcher {
namespace {

// A job that has been named by a death waits at least this long before it is given out again, so that the
// DIED of the death it has just caused is counted before it can cause another.
constexpr Duration kNamedDelay = milliseconds(300);
// Two clocks differ by up to 1 % each, and more than that says something about the worker, not its clock.
constexpr int kDriftDivisor = 33;
constexpr Duration kDriftLeast = seconds(1);

JobEnded ended_of(const JobFacts& facts, const JobResult& result, const std::string& worker) {
  JobEnded ended;
  ended.id = facts.full_id();
  if (facts.notes) ended.name = facts.notes->name;
  ended.number = facts.number;
  ended.line = facts.line;
  ended.status = result.outcome.status;
  ended.kind = result.outcome.kind;
  ended.message = result.outcome.message;
  if (result.outcome.command) ended.last_line = last_line(result.outcome.command->standard_error);
  ended.attempt = result.attempt;
  ended.worker = worker;
  return ended;
}

}  // namespace

std::uint64_t& Counts::of(Status status) {
  switch (status) {
    case Status::kOk:
      return ok;
    case Status::kFailed:
      return failed;
    case Status::kTimeout:
      return timeout;
    case Status::kQuarantined:
      return quarantined;
    case Status::kInvalid:
      break;
  }
  return invalid;
}

std::string last_line(const std::string& bytes) {
  std::size_t end = bytes.size();
  while (end > 0 && (bytes[end - 1] == '\n' || bytes[end - 1] == '\r' || bytes[end - 1] == ' ')) --end;
  if (end == 0) return {};
  const std::size_t newline = bytes.rfind('\n', end - 1);
  const std::size_t begin = newline == std::string::npos ? 0 : newline + 1;
  return bytes.substr(begin, std::min<std::size_t>(end - begin, 512));
}

Ledger::Ledger(const SchedulerOptions& options, JobIndex& index, RequirementClasses& classes,
               WorkerTable& workers, Streaks& streaks, JournalBook& journal, Time start)
    : jobs_(index, classes, options.crash_limit),
      holdings_(classes.limits()),
      workers_(workers),
      streaks_(streaks),
      journal_(journal),
      start_(start),
      may_withdraw_(options.may_withdraw),
      listening_(options.listening) {}

// ---- the queue ----

bool Ledger::read_ahead(std::uint32_t requirement, std::size_t want, Step& step) {
  return jobs_.fetch(requirement, want, step.load);
}

void Ledger::read_ahead_special(Step& step) {
  jobs_.fetch_alone(step.load);
  jobs_.fetch_choosy(step.load);
}

void Ledger::wake_due(Time now) {
  jobs_.wake_due(now);
  if (others_due_ && now >= *others_due_) others_due_.reset();
}

// ---- down ----

void Ledger::give(Session& session, JobRow row, Step& step) {
  ActiveJob& job = jobs_.at(row);
  if (!job.reuse_attempt) ++job.attempt;
  job.reuse_attempt = false;
  const Handle handle = jobs_.handle(row);
  holdings_.give(session.held, {.job = row,
                                .slots = job.facts.slots,
                                .attempt = job.attempt,
                                .handle = handle,
                                .since = step.now,
                                .queued = std::max(Duration{0}, step.now - job.ready_since),
                                .bytes = job.work.size(),
                                .alone = jobs_.must_run_alone(job),
                                .limited = limited(job)});
  const AckLedger::Told told = session.acks.tell();
  session.last_told = step.now;
  session.under_way.give(job.work.size());
  JobOrder& order = step.give(session.id, job.work.size() + job.facts.id.size(), told);
  order.handle = handle;
  order.id = job.facts.id;
  order.repeat = job.facts.repeat;
  order.key = job.facts.key;
  order.spec = job.facts.spec;
  order.attempt = job.attempt;
  order.work = jobs_.assign(row);
  order.timeout = job.facts.timeout;
  order.slots = job.facts.slots;
  order.kind = jobs_.requirement(job.facts.requirement).kind();
  if (order.kind == JobKind::kCommand) order.line = job.facts.line;
}

std::uint32_t Ledger::limited(const ActiveJob& job) const {
  const std::uint32_t number = job.facts.requirement;
  return jobs_.classes().limits().limits(number) ? number : kUnlimited;
}

JobRef Ledger::ref_of(const Holding& holding) const {
  return {holding.handle, jobs_.at(holding.job).facts.key, holding.attempt};
}

void Ledger::recall(Session& session, Step& step) {
  std::vector<HoldingRow> rows;
  for (HoldingRow row = holdings_.last(session.held); row != kNoHolding; row = holdings_.previous(row))
    rows.push_back(row);
  recall(session, rows, step);
}

void Ledger::recall(Session& session, const std::vector<HoldingRow>& rows, Step& step) {
  Recall recall;
  for (const HoldingRow row : rows) {
    if (holdings_.recall(row, step.now)) recall.jobs.push_back(ref_of(holdings_.at(row)));
  }
  if (!recall.jobs.empty()) step.send(session.id, std::move(recall));
}

void Ledger::cancel_held(Session& session, Step& step) {
  Cancel cancel;
  for (HoldingRow row = holdings_.first(session.held); row != kNoHolding; row = holdings_.next(row)) {
    if (holdings_.cancel(row)) cancel.jobs.push_back(ref_of(holdings_.at(row)));
  }
  if (!cancel.jobs.empty()) step.send(session.id, std::move(cancel));
}

void Ledger::cancel(HoldingRow row, Step& step) {
  if (!holdings_.cancel(row)) return;
  const Holding& holding = holdings_.at(row);
  step.send(holding.holder->session(), Cancel{{ref_of(holding)}});
}

void Ledger::cancel_all_but(HoldingRow kept, JobRow job, Step& step) {
  for (HoldingRow row = holdings_.first_of(job); row != kNoHolding; row = holdings_.next_of_job(row)) {
    if (row != kept) cancel(row, step);
  }
}

void Ledger::requeue_unless_held(JobRow job, Duration delay, Step& step) {
  if (holdings_.live_of(job) == kNoHolding) jobs_.requeue(job, step.now, delay);
}

// ---- up ----

HoldingRow Ledger::held_attempt(const Session* session, JobRow job, std::uint32_t attempt,
                                Handle handle) const {
  if (session == nullptr) return kNoHolding;
  const HoldingRow row = holdings_.find(job, session->held);
  if (row == kNoHolding) return kNoHolding;
  const Holding& holding = holdings_.at(row);
  return holding.attempt == attempt && holding.handle == handle ? row : kNoHolding;
}

// A failure counts if it is of the attempt that the session holds. It also counts if a worker that had the
// job is back and hands it over while no session holds the job, and it is of a later attempt than the last
// that failed: a job of hours is not run again for a short break. Any other failure is of an attempt that was
// given up or never existed. It must not end what runs elsewhere, or use up a retry of it.
bool Ledger::failure_counts(const Session* session, JobRow row, const JobResult& result) const {
  if (held_attempt(session, row, result.attempt, result.handle) != kNoHolding) return true;
  return session != nullptr && result.handle.value == 0 && holdings_.live_of(row) == kNoHolding &&
         result.attempt > jobs_.at(row).trouble().last_failed && result.attempt <= kAttemptMost &&
         believes(workers_.worker_of(*session), row);
}

// An ok counts with any attempt, and after any break, but only from a worker that has had the job. Nobody
// remembers which jobs those had that an earlier start of the dispatcher knew.
bool Ledger::ok_counts(const Worker* sender, JobRow row) const {
  return sender != nullptr && (sender->known_before || had(*sender, row));
}

// An attempt that was given in this session has not run for longer than since then. (One that was taken over
// from an earlier session may have: the dispatcher's clock may have stood still in between.) And nobody has a
// result of a type that it does not serve, unless it was given the job, or served that type before: a handler
// that does not work any more is left out of a later HELLO.
std::optional<Untruth> Ledger::untruth_in(const Session& session, JobRow row, const JobResult& result,
                                          Time now) const {
  const HoldingRow held = held_attempt(&session, row, result.attempt, result.handle);
  if (held != kNoHolding) {
    if (result.handle.value == 0) return std::nullopt;
    const Duration age = now - holdings_.at(held).since;
    const Duration most = age + age / kDriftDivisor + kDriftLeast;
    return result.waited + result.ran > most ? std::optional(Untruth::kRanTooLong) : std::nullopt;
  }
  const Worker& worker = workers_.worker_of(session);
  if (worker.serves_less || worker.known_before) return std::nullopt;
  const Requirement& requirement = jobs_.requirement(jobs_.at(row).facts.requirement);
  if (workers_.serves(session, requirement) || holdings_.find(row, session.worker) != kNoHolding)
    return std::nullopt;
  return Untruth::kForeignType;
}

// Once per session: what comes after it is of the same kind.
void Ledger::report_untrue(Session& session, Untruth what, std::string id, Step& step) {
  if (std::exchange(session.called_untrue, true)) return;
  step.decide(Report{WorkerUntrue{session.name, what, std::move(id)}});
}

std::optional<std::uint64_t> Ledger::take_result(Session* session, SessionId from, std::uint64_t seq,
                                                 JobResult&& result, Step& step) {
  std::optional<JobRow> row;
  if (session != nullptr && result.handle.value != 0) {
    row = jobs_.find(result.handle);
    if (row) {
      const ActiveJob& job = jobs_.at(*row);
      if (job.facts.key != result.key || job.facts.spec != result.spec) row.reset();
    }
  }
  if (!row) row = jobs_.find(result.key, result.spec, step.load);
  if (!row) {
    // Recorded already, as far as we can know; its record is durable once all are that have been issued.
    ++counts_.duplicates;
    return journal_.issued();
  }
  ActiveJob& job = jobs_.at(*row);
  if (session != nullptr) {
    if (const auto untruth = untruth_in(*session, *row, result, step.now)) {
      report_untrue(*session, *untruth, job.facts.full_id(), step);
      return std::nullopt;
    }
  }
  const Worker* sender = workers_.worker_with(from);
  const bool counts =
      result.outcome.status == Status::kOk ? ok_counts(sender, *row) : failure_counts(session, *row, result);
  if (!counts) {
    ++counts_.duplicates;
    return 0;  // a late failure of an attempt that was given up, or of somebody who never had the job
  }
  if (job.known) return settle(*row, std::move(result), sender->name, session, step);
  keep_early(job, std::move(result), from, sender->name);
  job.early->acks.emplace_back(from, seq);
  return AckLedger::kUnknown;
}

// Keeps the first result, but prefers an ok to a failure: otherwise its work would be thrown away and done
// again.
void Ledger::keep_early(ActiveJob& job, JobResult&& result, SessionId from, const std::string& worker) {
  if (!job.early) {
    job.early = std::make_unique<EarlyResult>(EarlyResult{std::move(result), from, worker, {}});
    ++early_;
    return;
  }
  ++counts_.duplicates;
  if (result.outcome.status != Status::kOk || job.early->result.outcome.status == Status::kOk) return;
  job.early->result = std::move(result);
  job.early->from = from;
  job.early->worker = worker;
}

void Ledger::take_loaded(LoadedJob&& loaded, Step& step) {
  const auto row = jobs_.loaded(std::move(loaded), step.now);
  if (!row || !jobs_.at(*row).early) return;
  EarlyResult came = std::move(*jobs_.at(*row).early);
  jobs_.at(*row).early.reset();
  --early_;
  Session* session = workers_.find(came.from);
  // Until the line was here only the first halves of its key and spec were known: it may not have been its
  // result.
  const JobFacts& facts = jobs_.at(*row).facts;
  const bool of_it = came.result.key == facts.key && came.result.spec == facts.spec;
  const std::uint64_t record = of_it ? settle(*row, std::move(came.result), came.worker, session, step) : 0;
  for (const auto& [id, seq] : came.acks) {
    if (Session* waiting = workers_.find(id)) waiting->acks.settle(seq, record);
  }
}

std::uint64_t Ledger::settle(JobRow row, JobResult&& result, const std::string& worker, Session* session,
                             Step& step) {
  const HoldingRow held = held_attempt(session, row, result.attempt, result.handle);
  // How long it waited before it did anything is not known.
  if (held != kNoHolding) {
    const RunTime& known = jobs_.classes().at(jobs_.at(row).facts.requirement).run_time;
    holdings_.note_started(held, step.now - known.worked(result.ran));
  }
  if (result.outcome.status == Status::kOk) {
    jobs_.note_ok(jobs_.at(row).facts.requirement, result.ran);
    note_ok(row, session, result.handle);
  } else {
    if (!failure_counts(session, row, result)) {  // no more, since its line was asked for
      ++counts_.duplicates;
      return 0;
    }
    if (runs_again(row, held, *session, result, step)) return 0;
  }
  cancel_all_but(held, row, step);
  if (session != nullptr) {
    ++session->done;
    if (std::exchange(session->unproven, false)) workers_.worker_of(*session).unproven = false;
  }
  return record(row, std::move(result), worker, step);
}

std::uint64_t Ledger::record(JobRow row, JobResult&& result, const std::string& worker, Step& step) {
  ActiveJob& job = jobs_.at(row);
  const HoldingRow held = holdings_.live_of(row);
  const Duration queued = (held != kNoHolding ? holdings_.at(held).queued : Duration{0}) + result.waited;
  holdings_.end_all(row);
  std::optional<JobEnded> ended;
  if (result.outcome.status != Status::kOk) {
    ended = ended_of(job.facts, result, worker);
    if (job.only_copy) ended->work = job.work;
  }
  if (result.outcome.command && result.outcome.command->truncated > 0) ++counts_.cut_outputs;
  Record& record = persist(result.outcome.status, step);
  record.facts = std::move(job.facts);
  record.attempt = result.attempt;
  record.outcome = std::move(result.outcome);
  record.worker = worker;
  record.queued = queued;
  record.ran = result.ran;
  if (ended) step.decide(Report{std::move(*ended)});
  if (job.trouble().withdrawn) note_replaced(*job.trouble().withdrawn);
  // `facts` was moved from; its plain fields, which finish() needs, are still there.
  jobs_.finish(row);
  return journal_.issued();
}

Ledger::Returns Ledger::take_returned(Session& session, const ReturnedJob& returned, Step& step) {
  std::optional<JobRow> row;
  if (returned.handle.value != 0) row = jobs_.find(returned.handle);
  if (!row) row = jobs_.find_active(returned.key);
  if (!row || jobs_.at(*row).facts.key != returned.key) return Returns::kAsked;
  const HoldingRow held = held_attempt(&session, *row, returned.attempt, returned.handle);
  if (held == kNoHolding) return Returns::kAsked;
  ActiveJob& job = jobs_.at(*row);
  // A later attempt may have begun elsewhere.
  job.reuse_attempt = returned.reason != ReturnReason::kStopped && returned.attempt == job.attempt;
  const bool unasked = holdings_.at(held).is<Sent>();
  if (returned.reason != ReturnReason::kStopped) holdings_.note_unstarted(held);
  holdings_.end(held);
  const bool elsewhere = returned.reason == ReturnReason::kNoTime && avoid(job, session.worker);
  requeue_unless_held(*row, Duration{0}, step);
  if (elsewhere) jobs_.set_choosy(*row, true);
  if (!unasked) return Returns::kAsked;
  return elsewhere ? Returns::kForOthers : Returns::kUnasked;
}

// ---- sessions ----

void Ledger::inherit(Session& from, Session& to) { holdings_.inherit(from.held, to.held); }

std::vector<Handle> Ledger::lose(Session& session, Loss loss, Step& step) {
  const bool lost = loss != Loss::kNone;
  std::vector<Handle> candidates;
  std::uint32_t slots = 0;
  while (session.held.jobs() > 0) {
    const HoldingRow row = holdings_.first(session.held);
    const JobRow of = holdings_.at(row).job;
    ActiveJob& job = jobs_.at(of);
    Duration delay{0};
    const bool ended = holdings_.at(row).is<Doubtful>();  // a moment ago, and maybe with the worker
    if (lost && (ended || slots < session.slots)) {
      if (!ended) slots += job.facts.slots;
      candidates.push_back(jobs_.handle(of));
      ++counts_.redelivered;
      Trouble& trouble = job.change_trouble();
      ++trouble.losses;
      trouble.last_worker = session.name;
      delay = loss_delay(job.facts.key, job.attempt, trouble.losses);
      if (trouble.named > 0 || trouble.lost > 0) delay = std::max(delay, kNamedDelay);
    }
    if (lost) {
      holdings_.give_up(row, loss == Loss::kForItsConduct && !holdings_.at(row).begun);
    } else {
      holdings_.end(row);
    }
    requeue_unless_held(of, delay, step);
  }
  return candidates;
}

// ---- blame ----

bool Ledger::believes(const Worker& worker, JobRow job) const {
  if (had(worker, job)) return true;
  return worker.from_before && holdings_.first_of(job) == kNoHolding;
}

void Ledger::name_in_death(JobRow row, const std::string& worker) {
  jobs_.at(row).change_trouble().last_worker = worker;
  jobs_.name_in_death(row);
}

void Ledger::count_loss(JobRow row) { jobs_.count_loss(row); }

// ---- for good ----

void Ledger::count_done_before(Status status, std::uint64_t jobs) {
  counts_.of(status) += jobs;
  counts_.before += jobs;
  if (status != Status::kOk) counts_.before_not_ok += jobs;
}

// Made in its place: moving these few hundred bytes about costs more than deciding on them.
Record& Ledger::persist(Status status, Step& step) {
  ++counts_.of(status);
  journal_.issue(status);
  return std::get<Record>(step.entries().emplace_back(std::in_place_type<Record>));
}

void Ledger::quarantine(JobRow row, const std::string& evidence, Step& step) {
  ActiveJob& job = jobs_.at(row);
  cancel_all_but(kNoHolding, row, step);
  JobResult result;
  result.attempt = job.attempt;
  result.outcome.status = Status::kQuarantined;
  result.outcome.kind = ErrorKind::kCrash;
  result.outcome.message = evidence;
  record(row, std::move(result), job.trouble().last_worker, step);
}

void Ledger::record_invalid(const JobFacts& facts, const std::string& message, Step& step) {
  JobResult result;
  result.outcome.status = Status::kInvalid;
  result.outcome.kind = ErrorKind::kInvalid;
  result.outcome.message = message;
  Record& record = persist(Status::kInvalid, step);
  record.facts = facts;
  record.outcome = result.outcome;
  step.decide(Report{ended_of(facts, result, {})});
}

}  // namespace workpool::dispatcher
