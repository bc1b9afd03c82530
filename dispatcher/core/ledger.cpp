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
// Attempts are counted on from the one that a worker names, so it must not be near its type's end.
constexpr std::uint32_t kAttemptMost = 1 << 30;

JobEnded ended_of(const JobFacts& facts, const JobResult& result, const std::string& worker) {
  JobEnded ended;
  ended.id = facts.full_id();
  ended.line = facts.line;
  ended.status = result.outcome.status;
  ended.kind = result.outcome.kind;
  ended.message = result.outcome.message;
  ended.last_line = last_line(result.outcome.standard_error);
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

Ledger::Ledger(const SchedulerOptions& options, JobIndex& index, WorkerTable& workers)
    : jobs_(index, options.streaming, options.crash_limit), workers_(workers) {}

// ---- the queue ----

void Ledger::read_ahead(std::uint32_t requirement, std::size_t want, Step& step) {
  jobs_.fetch(requirement, want, step.load);
}

void Ledger::read_ahead_alone(Step& step) { jobs_.fetch_alone(step.load); }

void Ledger::wake_due(Time now) { jobs_.wake_due(now); }

// ---- a session's list of what it holds, through the jobs themselves ----

void Ledger::link(Session& session, JobRow row) {
  ActiveJob& job = jobs_.at(row);
  job.previous = session.last_held;
  job.next = ActiveJob::kNone;
  if (session.last_held == ActiveJob::kNone) {
    session.first_held = row;
  } else {
    jobs_.at(session.last_held).next = row;
  }
  session.last_held = row;
  ++session.held_jobs;
  session.held_slots += job.facts.slots;
  session.held_bytes += std::get<Assigned>(job.state).bytes;
}

void Ledger::unlink(JobRow row) {
  ActiveJob& job = jobs_.at(row);
  const auto* assigned = std::get_if<Assigned>(&job.state);
  if (assigned == nullptr) return;
  Session* session = workers_.find(assigned->session);
  CHECK(session != nullptr && session->held_jobs > 0);
  (job.previous == ActiveJob::kNone ? session->first_held : jobs_.at(job.previous).next) = job.next;
  (job.next == ActiveJob::kNone ? session->last_held : jobs_.at(job.next).previous) = job.previous;
  job.next = job.previous = ActiveJob::kNone;
  --session->held_jobs;
  session->held_slots -= job.facts.slots;
  session->held_bytes -= assigned->bytes;
  if (session->held_jobs == 0) session->exclusive = false;
}

// ---- down ----

void Ledger::give(Session& session, JobRow row, Step& step) {
  ActiveJob& job = jobs_.at(row);
  if (!std::exchange(job.reuse_attempt, false)) ++job.attempt;
  const Handle handle = jobs_.handle(row);
  const Duration queued = std::max(Duration{0}, step.now - job.ready_since);
  std::string work = jobs_.assign(row, {.session = session.id,
                                        .since = step.now,
                                        .handle = handle,
                                        .attempt = job.attempt,
                                        .queued = queued,
                                        .bytes = job.work.size()});
  link(session, row);
  session.ack_sent = session.acks.ack();
  session.received_sent = session.acks.received();
  session.last_told = step.now;
  // Made in its place: moving these few hundred bytes about costs more than deciding on them.
  auto& assign = std::get<Assign>(step.actions.emplace_back(std::in_place_type<Assign>));
  assign.session = session.id;
  assign.ack = session.ack_sent;
  assign.received = session.received_sent;
  assign.order.handle = handle;
  assign.order.id = job.facts.id;
  assign.order.repeat = job.facts.repeat;
  assign.order.key = job.facts.key;
  assign.order.spec = job.facts.spec;
  assign.order.attempt = job.attempt;
  assign.order.work = std::move(work);
  assign.order.timeout = job.facts.timeout;
  assign.order.slots = job.facts.slots;
}

void Ledger::recall(Session& session, Step& step) {
  std::vector<JobRow> rows;
  for (JobRow row = session.last_held; row != ActiveJob::kNone; row = jobs_.at(row).previous)
    rows.push_back(row);
  recall(session, rows, step);
}

void Ledger::recall(Session& session, const std::vector<JobRow>& rows, Step& step) {
  Recall recall;
  for (const JobRow row : rows) {
    ActiveJob& job = jobs_.at(row);
    auto& assigned = std::get<Assigned>(job.state);
    if (assigned.recalled || !assigned.confirmed || assigned.handle.value == 0) continue;
    assigned.recalled = true;
    recall.jobs.push_back({assigned.handle, job.facts.key, assigned.attempt});
  }
  if (!recall.jobs.empty()) step.actions.emplace_back(SendLane{session.id, std::move(recall)});
}

void Ledger::cancel_held(Session& session, Step& step) {
  Cancel cancel;
  for (JobRow row = session.first_held; row != ActiveJob::kNone; row = jobs_.at(row).next) {
    ActiveJob& job = jobs_.at(row);
    auto& assigned = std::get<Assigned>(job.state);
    if (assigned.cancelled || !assigned.confirmed) continue;
    assigned.cancelled = true;
    cancel.jobs.push_back({assigned.handle, job.facts.key, assigned.attempt});
  }
  if (!cancel.jobs.empty()) step.actions.emplace_back(SendLane{session.id, std::move(cancel)});
}

void Ledger::cancel_twin(JobRow row, Step& step) {
  const ActiveJob& job = jobs_.at(row);
  const auto* assigned = std::get_if<Assigned>(&job.state);
  if (assigned == nullptr || !assigned->confirmed) return;
  step.actions.emplace_back(
      SendLane{assigned->session, Cancel{{{assigned->handle, job.facts.key, assigned->attempt}}}});
}

void Ledger::cancel_unknown(const Session& session, const HeldJob& held, Step& step) {
  step.actions.emplace_back(SendLane{session.id, Cancel{{{Handle{}, held.key, held.attempt}}}});
}

// ---- up ----

bool Ledger::holds(const Session* session, const ActiveJob& job, std::uint32_t attempt, Handle handle) const {
  const auto* assigned = std::get_if<Assigned>(&job.state);
  return session != nullptr && assigned != nullptr && assigned->session == session->id &&
         assigned->attempt == attempt && assigned->handle == handle;
}

// Of the attempt that the session holds. Or handed over by a worker that is back, while nobody holds the job,
// of a later attempt than the last that failed: a job of hours is not run again for a blip. Any other is of
// an attempt that was given up, and must not end, or use up a retry of, what runs elsewhere.
bool Ledger::failure_counts(const Session* session, const ActiveJob& job, const JobResult& result) const {
  if (holds(session, job, result.attempt, result.handle)) return true;
  return session != nullptr && result.handle.value == 0 && !std::holds_alternative<Assigned>(job.state) &&
         result.attempt > job.last_failed && result.attempt <= kAttemptMost;
}

std::uint64_t Ledger::take_result(Session* session, SessionId from, std::uint64_t seq, JobResult&& result,
                                  Step& step) {
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
    return records_;
  }
  ActiveJob& job = jobs_.at(*row);
  if (result.outcome.status != Status::kOk && !failure_counts(session, job, result)) {
    ++counts_.duplicates;
    return 0;  // a late failure of an attempt that was given up
  }
  const std::string worker = workers_.name_of(from);
  if (job.known) return settle(*row, std::move(result), worker, session, step);
  keep_early(job, std::move(result), from, worker);
  job.early->acks.emplace_back(from, seq);
  return AckLedger::kUnknown;
}

// The first one, but an ok before a failure: its work would be thrown away, and done again.
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

bool Ledger::retry(JobRow row, const JobResult& result, Step& step) {
  ActiveJob& job = jobs_.at(row);
  const bool retried = result.outcome.status == Status::kFailed || result.outcome.status == Status::kTimeout;
  if (!retried || job.failures >= job.facts.retries) return false;
  ++job.failures;
  job.last_failed = result.attempt;
  if (result.attempt >= job.attempt) {
    job.attempt = result.attempt;
    job.reuse_attempt = false;
  }
  ++counts_.retried;
  const Duration delay = retry_delay(job.facts.key, job.attempt, job.failures);
  unlink(row);
  jobs_.requeue(row, step.now, delay);
  step.actions.emplace_back(Report{JobRetried{job.facts.full_id(), result.attempt, result.outcome.message,
                                              delay, result.ran, job.facts.slots}});
  return true;
}

std::uint64_t Ledger::settle(JobRow row, JobResult&& result, const std::string& worker, Session* session,
                             Step& step) {
  if (result.outcome.status != Status::kOk) {
    if (!failure_counts(session, jobs_.at(row), result)) {  // no more, since its line was asked for
      ++counts_.duplicates;
      return 0;
    }
    // While nothing has succeeded, a failure is all that is known: without a run time jobs travel one by one.
    if (result.outcome.status == Status::kFailed)
      jobs_.note_failure_time(jobs_.at(row).facts.requirement, result.ran);
    if (retry(row, result, step)) return 0;
  }
  if (result.outcome.status == Status::kOk) jobs_.note_run_time(jobs_.at(row).facts.requirement, result.ran);
  if (!holds(session, jobs_.at(row), result.attempt, result.handle)) cancel_twin(row, step);
  if (session != nullptr) ++workers_.worker_of(*session).done;
  return record(row, std::move(result), worker, step);
}

std::uint64_t Ledger::record(JobRow row, JobResult&& result, const std::string& worker, Step& step) {
  ActiveJob& job = jobs_.at(row);
  const auto* assigned = std::get_if<Assigned>(&job.state);
  const Duration queued = (assigned != nullptr ? assigned->queued : Duration{0}) + result.waited;
  unlink(row);
  std::optional<JobEnded> ended;
  if (result.outcome.status != Status::kOk) ended = ended_of(job.facts, result, worker);
  count_record(result.outcome.status);
  auto& record = std::get<Record>(step.actions.emplace_back(std::in_place_type<Record>));
  record.facts = std::move(job.facts);
  record.attempt = result.attempt;
  record.outcome = std::move(result.outcome);
  record.worker = worker;
  record.queued = queued;
  record.ran = result.ran;
  if (ended) step.actions.emplace_back(Report{std::move(*ended)});
  // `facts` was moved from; its plain fields, which finish() needs, are still there.
  jobs_.finish(row);
  return records_;
}

void Ledger::take_returned(Session& session, const ReturnedJob& returned, Step& step) {
  std::optional<JobRow> row;
  if (returned.handle.value != 0) row = jobs_.find(returned.handle);
  if (!row) row = jobs_.find_active(returned.key);
  if (!row) return;
  ActiveJob& job = jobs_.at(*row);
  if (job.facts.key != returned.key || !holds(&session, job, returned.attempt, returned.handle)) return;
  job.reuse_attempt = returned.reason != ReturnReason::kStopped;
  unlink(*row);
  jobs_.requeue(*row, step.now, Duration{0});
}

void Ledger::adopt(Session& session, const HeldJob& held, Step& step) {
  const auto row = held.attempt <= kAttemptMost ? jobs_.find(held.key, held.spec, step.load) : std::nullopt;
  if (!row) {
    cancel_unknown(session, held, step);
    return;
  }
  ActiveJob& job = jobs_.at(*row);
  const Time since = step.now - held.elapsed;
  job.attempt = std::max(job.attempt, held.attempt);
  if (auto* assigned = std::get_if<Assigned>(&job.state)) {
    if (assigned->session == session.id) {
      if (assigned->confirmed && assigned->attempt != held.attempt)
        return cancel_unknown(session, held, step);
      assigned->confirmed = true;
      assigned->handle = Handle{};
      assigned->attempt = held.attempt;
      assigned->since = since;
      return;
    }
    // Given to another meanwhile: the one that has run longer is kept.
    if (assigned->confirmed && since > assigned->since) {
      cancel_unknown(session, held, step);
      return;
    }
    cancel_twin(*row, step);
    unlink(*row);
  }
  job.reuse_attempt = false;
  jobs_.assign(*row, {.session = session.id, .since = since, .handle = Handle{}, .attempt = held.attempt});
  link(session, *row);
}

void Ledger::drop_unconfirmed(Session& session, Step& step) {
  JobRow next = ActiveJob::kNone;
  for (JobRow row = session.first_held; row != ActiveJob::kNone; row = next) {
    next = jobs_.at(row).next;
    if (std::get<Assigned>(jobs_.at(row).state).confirmed) continue;
    unlink(row);
    jobs_.requeue(row, step.now, Duration{0});
  }
}

// ---- sessions ----

void Ledger::inherit(Session& from, Session& to) {
  to.first_held = std::exchange(from.first_held, ActiveJob::kNone);
  to.last_held = std::exchange(from.last_held, ActiveJob::kNone);
  to.held_jobs = std::exchange(from.held_jobs, 0);
  to.held_slots = std::exchange(from.held_slots, 0);
  to.held_bytes = std::exchange(from.held_bytes, 0);
  to.exclusive = std::exchange(from.exclusive, false);
  for (JobRow row = to.first_held; row != ActiveJob::kNone; row = jobs_.at(row).next) {
    auto& assigned = std::get<Assigned>(jobs_.at(row).state);
    assigned.session = to.id;
    assigned.handle = Handle{};
    assigned.confirmed = assigned.recalled = assigned.cancelled = false;
  }
}

std::vector<Handle> Ledger::lose(Session& session, bool lost, Step& step) {
  std::vector<Handle> candidates;
  std::uint32_t slots = 0;
  while (session.first_held != ActiveJob::kNone) {
    const JobRow row = session.first_held;
    ActiveJob& job = jobs_.at(row);
    Duration delay{0};
    if (lost && slots < session.slots) {
      slots += job.facts.slots;
      candidates.push_back(jobs_.handle(row));
      ++counts_.redelivered;
      ++job.losses;
      job.last_worker = session.name;
      delay = loss_delay(job.facts.key, job.attempt, job.losses);
      if (job.named > 0 || job.lost > 0) delay = std::max(delay, kNamedDelay);
    }
    unlink(row);
    jobs_.requeue(row, step.now, delay);
  }
  return candidates;
}

// ---- blame ----

void Ledger::name_in_death(JobRow row, const std::string& worker) {
  jobs_.at(row).last_worker = worker;
  jobs_.name_in_death(row);
}

void Ledger::count_loss(JobRow row) { jobs_.count_loss(row); }

// ---- for good ----

void Ledger::count_done_before(Status status, std::uint64_t jobs) {
  counts_.of(status) += jobs;
  counts_.before += jobs;
}

void Ledger::count_record(Status status) {
  ++records_;
  ++counts_.of(status);
  undurable_.push_back(status);
}

void Ledger::durable(std::uint64_t number) {
  while (undurable_.size() > records_ - std::min(number, records_)) undurable_.pop_front();
}

Counts Ledger::durable_counts() const {
  Counts known = counts_;
  for (const Status status : undurable_) --known.of(status);
  return known;
}

void Ledger::quarantine(JobRow row, const std::string& evidence, Step& step) {
  ActiveJob& job = jobs_.at(row);
  cancel_twin(row, step);
  JobResult result;
  result.attempt = job.attempt;
  result.outcome.status = Status::kQuarantined;
  result.outcome.kind = ErrorKind::kCrash;
  result.outcome.message = evidence;
  record(row, std::move(result), job.last_worker, step);
}

void Ledger::record_invalid(const JobFacts& facts, const std::string& message, Step& step) {
  count_record(Status::kInvalid);
  Outcome outcome;
  outcome.status = Status::kInvalid;
  outcome.kind = ErrorKind::kInvalid;
  outcome.message = message;
  JobResult result;
  result.outcome = outcome;
  step.actions.emplace_back(Record{facts, 0, std::move(outcome), {}, Duration{0}, Duration{0}});
  step.actions.emplace_back(Report{ended_of(facts, result, {})});
}

}  // namespace workpool::dispatcher
