// SPDX-License-Identifier: MIT
// The part of the ledger that decides what a failure means: a retry, another worker, a record; and that
// withdraws records of failures.
#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "dispatcher/core/ledger.h"
#include "dispatcher/core/retry_policy.h"

namespace workpool::dispatcher {
namespace {

// A job that cannot start on so many workers is not tried on more.
constexpr std::size_t kNotOnMost = 64;
// Workers that are started together come one after the other. If the first of them lacks the program, it
// could end every job of a short run before the next one is there.
constexpr Duration kOthersMayCome = seconds(3);

}  // namespace

void Ledger::note_ok(JobRow row, Session* session, Handle handle) {
  if (session != nullptr) {
    if (session->streak != nullptr) streaks_.end(*session);
    workers_.note_ok(*session, handle);
  }
  const Trouble& trouble = jobs_.at(row).trouble();
  if (trouble.failed_at != Time{}) streaks_.proved(trouble);
}

bool Ledger::runs_again(JobRow row, HoldingRow held, Session& session, const JobResult& result, Step& step) {
  ActiveJob& job = jobs_.at(row);
  const JobFacts& facts = job.facts;
  jobs_.note_not_ok(facts.requirement, result.outcome.status, result.ran);
  // What fails here after a while may have failed there for another reason.
  if (job.trouble().failed_at != Time{} && result.ran <= Streaks::kQuick)
    streaks_.refuted(job.trouble(), session, step.now);
  if (workers_.benched(session) == nullptr)
    streaks_.failed(session, facts.requirement, result.outcome, result.ran, step.now);
  if (goes_elsewhere(row, session, result, step.now)) {
    give_again(row, held, result, Duration{0}, step);
    step.decide(Report{JobMoved{facts.full_id(), result.attempt, result.outcome.message, session.name,
                                result.ran, facts.slots}});
    return true;
  }
  const bool may_retry =
      result.outcome.status == Status::kFailed || result.outcome.status == Status::kTimeout;
  if (!may_retry) return false;
  if (job.trouble().failures >= facts.retries) {
    if (may_withdraw_ && !job.only_copy && session.streak != nullptr)
      streaks_.recorded(session, {facts, std::max(job.attempt, result.attempt), result.outcome.status,
                                  result.outcome.kind, result.outcome.message});
    return false;
  }
  Trouble& trouble = job.change_trouble();
  ++trouble.failures;
  trouble.rather_not_on = session.worker;
  trouble.failed_at = step.now;
  const Duration delay = retry_delay(facts.key, std::max(job.attempt, result.attempt), trouble.failures);
  give_again(row, held, result, delay, step);
  step.decide(Report{
      JobRetried{facts.full_id(), result.attempt, result.outcome.message, delay, result.ran, facts.slots}});
  return true;
}

bool Ledger::avoid(ActiveJob& job, WorkerId worker) {
  std::vector<WorkerId>& not_on = job.change_trouble().not_on;
  if (not_on.size() >= kNotOnMost || std::find(not_on.begin(), not_on.end(), worker) != not_on.end())
    return false;
  not_on.push_back(worker);
  return true;
}

// If it cannot start there, or a worker on the bench fails at once, that says something about the worker
// first. It is the job's own failure only if no other worker that is present, or may come soon, could run it.
bool Ledger::goes_elsewhere(JobRow row, const Session& session, const JobResult& result, Time now) {
  ActiveJob& job = jobs_.at(row);
  const bool on_bench = workers_.benched(session) != nullptr && result.ran <= Streaks::kQuick;
  if (!on_bench && !cannot_start(result.outcome, job.facts.by_shell)) return false;
  job.change_trouble().failed_at = now;
  avoid(job, session.worker);
  const std::vector<WorkerId>& not_on = job.trouble().not_on;
  if (not_on.size() >= kNotOnMost) return false;
  if (listening_ && others_may_come_until_ == Time{}) {
    others_may_come_until_ = now + kOthersMayCome;
    others_due_ = others_may_come_until_;
  }
  return now < others_may_come_until_ || workers_.any_other(jobs_.requirement(job.facts.requirement), not_on);
}

void Ledger::give_again(JobRow row, HoldingRow held, const JobResult& result, Duration delay, Step& step) {
  ActiveJob& job = jobs_.at(row);
  job.change_trouble().last_failed = result.attempt;
  if (result.attempt >= job.attempt) {
    job.attempt = result.attempt;
    job.reuse_attempt = false;
  }
  ++counts_.retried;
  if (held != kNoHolding) holdings_.end(held);
  requeue_unless_held(row, delay, step);
  jobs_.set_choosy(row, true);
}

// ---- records that do not count any more ----

JobEnded Ledger::withdraw(RecordedFailure&& failure, const Session& of, Step& step) {
  CHECK(failure.status == Status::kFailed || failure.status == Status::kTimeout);
  JobEnded ended;
  ended.id = failure.facts.full_id();
  ended.line = failure.facts.line;
  ended.status = failure.status;
  ended.kind = failure.kind;
  ended.message = std::move(failure.message);
  ended.attempt = failure.attempt;
  ended.worker = of.name;
  --counts_.of(failure.status);
  ++open_withdrawn_.of(failure.status);
  ++withdrawn_;
  const std::uint32_t retries = failure.facts.retries;
  const JobRow row = jobs_.reopen(std::move(failure.facts), failure.attempt, step.now);
  Trouble& trouble = jobs_.at(row).change_trouble();
  trouble.failures = retries;  // they have been used up
  trouble.last_failed = failure.attempt;
  trouble.not_on.push_back(of.worker);
  trouble.failed_at = step.now;
  trouble.withdrawn = failure.status;
  return ended;
}

void Ledger::note_replaced(Status withdrawn) {
  --open_withdrawn_.of(withdrawn);
  while (!replaced_.empty() && journal_.is_durable(replaced_.front().by)) replaced_.pop_front();
  replaced_.push_back({journal_.issued(), withdrawn});
}

Counts Ledger::durable_counts() const {
  Counts known = counts_;
  journal_.for_undurable_results([&known](Status status) { --known.of(status); });
  // The last line of a job counts that is there: a failure does again if its job has no newer one. (It was
  // counted off once when it was withdrawn, and perhaps once more as one that is not durable.)
  known.failed += open_withdrawn_.failed;
  known.timeout += open_withdrawn_.timeout;
  for (const Replaced& replaced : replaced_) {
    if (!journal_.is_durable(replaced.by)) ++known.of(replaced.status);
  }
  return known;
}

}  // namespace workpool::dispatcher
