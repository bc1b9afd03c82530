// SPDX-License-Identifier: MIT
// The part of the ledger that takes what workers say of the jobs that run there.
#include <algorithm>

#include "dispatcher/core/ledger.h"

namespace workpool::dispatcher {

bool Ledger::note_ended(Session& session, Handle handle, Time now) {
  const auto job = jobs_.find(handle);
  if (!job) return false;
  const HoldingRow row = holdings_.find(*job, session.held);
  if (row == kNoHolding || holdings_.at(row).handle != handle) return false;
  return holdings_.note_ended(row, now);
}

bool Ledger::adopt(Session& session, const Held& held, Step& step) {
  session.named_in_held += held.jobs.size();
  if (session.named_in_held > slots_named_most(session.slots)) {
    report_untrue(session, Untruth::kHoldsTooMuch, {}, step);
    return false;
  }
  Cancel cancel;
  for (const HeldJob& job : held.jobs) {
    if (!adopt(session, job, step)) cancel.jobs.push_back({Handle{}, job.key, job.attempt});
  }
  if (!cancel.jobs.empty()) step.send(session.id, std::move(cancel));
  return true;
}

bool Ledger::adopt(Session& session, const HeldJob& held, Step& step) {
  if (held.attempt > kAttemptMost) return false;
  const bool from_before = workers_.worker_of(session).from_before;
  // The backlog is asked only about a worker that may have been given a job of it.
  const auto row = from_before ? jobs_.find(held.key, held.spec, step.load) : jobs_.find_active(held.key);
  if (!row || jobs_.at(*row).facts.spec != held.spec) return false;
  ActiveJob& job = jobs_.at(*row);
  const HoldingRow known = holdings_.find(*row, session.worker);
  if (known == kNoHolding && !from_before) return false;
  if (known != kNoHolding && holdings_.at(known).is_taken_away()) return false;
  if (held.attempt > job.attempt && !from_before) return false;  // was never given
  const bool is_more = holdings_.find(*row, session.held) == kNoHolding;
  if (is_more && session.held.slots() + std::uint64_t{job.facts.slots} > slots_named_most(session.slots))
    return false;  // wider than the worker
  // It began after it was given, whatever the worker says.
  const Time given = known != kNoHolding ? holdings_.at(known).since : start_;
  const Time since = std::max(given, step.now - held.elapsed);
  // What an earlier start of the dispatcher gave it may have begun before this one.
  const Time begun = known == kNoHolding ? step.now - held.elapsed : since;
  if (const HoldingRow own = holdings_.find(*row, session.held); own != kNoHolding) {
    if (!holdings_.at(own).is<Inherited>() && holdings_.at(own).attempt != held.attempt) return false;
    job.attempt = std::max(job.attempt, held.attempt);
    holdings_.confirm(own, held.attempt, since, begun);
    return true;
  }
  if (const HoldingRow other = holdings_.live_of(*row); other != kNoHolding) {
    // Both say that an earlier start gave it to them: who came first is believed, and keeps its work.
    const bool was_adopted = holdings_.at(other).handle.value == 0 && !holdings_.at(other).is<Inherited>();
    if (known == kNoHolding && was_adopted) return false;
    // It was given to another worker meanwhile: the one that has run longer is kept.
    if (!holdings_.at(other).is<Inherited>() && since > holdings_.at(other).since) return false;
    cancel(other, step);
    holdings_.give_up(other);
  } else {
    jobs_.assign(*row);
  }
  job.attempt = std::max(job.attempt, held.attempt);
  job.reuse_attempt = false;
  holdings_.adopt(session.held,
                  {.job = *row,
                   .slots = job.facts.slots,
                   .attempt = held.attempt,
                   .since = since,
                   .limited = limited(job)},
                  begun);
  return true;
}

void Ledger::take_away(Session& session, const std::vector<HoldingRow>& rows, Step& step) {
  Cancel cancel;
  for (const HoldingRow row : rows) {
    const JobRow of = holdings_.at(row).job;
    if (holdings_.cancel(row)) cancel.jobs.push_back(ref_of(holdings_.at(row)));
    holdings_.give_up(row, true);
    avoid(jobs_.at(of), session.worker);
    requeue_unless_held(of, Duration{0}, step);
    jobs_.set_choosy(of, true);
  }
  if (!cancel.jobs.empty()) step.send(session.id, std::move(cancel));
}

void Ledger::drop_unconfirmed(Session& session, Step& step) {
  HoldingRow next = kNoHolding;
  for (HoldingRow row = holdings_.first(session.held); row != kNoHolding; row = next) {
    next = holdings_.next(row);
    if (!holdings_.at(row).is<Inherited>()) continue;
    const JobRow job = holdings_.at(row).job;
    holdings_.give_up(row);
    requeue_unless_held(job, Duration{0}, step);
  }
}

HoldingRow Ledger::held_as(const Session& session, Handle handle) const {
  const auto job = jobs_.find(handle);
  if (!job) return kNoHolding;
  const HoldingRow row = holdings_.find(*job, session.held);
  return row == kNoHolding || holdings_.at(row).handle != handle ? kNoHolding : row;
}

bool Ledger::note_running(const Session& session, const Beat& beat, Time now) {
  bool any = false;
  for (const BegunJob& begun : beat.begun) {
    const HoldingRow row = held_as(session, begun.handle);
    if (row != kNoHolding) any |= holdings_.note_begun(row, now - begun.elapsed);
  }
  for (const JobProgress& said : beat.progress) {
    const HoldingRow row = held_as(session, said.handle);
    if (row != kNoHolding) holdings_.note_progress(row, Progress(said.progress));
  }
  return any;
}

RunningList Ledger::running(Time now, std::size_t most) const {
  struct Found {
    HoldingRow row = kNoHolding;
    const Session* session = nullptr;
  };
  std::vector<Found> found;
  for (const auto& [id, session] : workers_.sessions()) {
    for (HoldingRow row = holdings_.first(session.held); row != kNoHolding; row = holdings_.next(row)) {
      if (holdings_.at(row).begun && !holdings_.at(row).is<Doubtful>()) found.push_back({row, &session});
    }
  }
  const auto end = found.begin() + static_cast<std::ptrdiff_t>(std::min(most, found.size()));
  std::partial_sort(found.begin(), end, found.end(), [&](const Found& a, const Found& b) {
    return std::pair(*holdings_.at(a.row).begun, a.row) < std::pair(*holdings_.at(b.row).begun, b.row);
  });
  RunningList list;
  list.jobs = found.size();
  for (auto one = found.begin(); one != end; ++one) {
    const Holding& holding = holdings_.at(one->row);
    const JobFacts& facts = jobs_.at(holding.job).facts;
    RunningView& view = list.longest.emplace_back();
    view.id = facts.full_id();
    if (facts.notes) view.name = facts.notes->name;
    view.line = facts.line;
    view.worker = one->session->name;
    view.ran = now - *holding.begun;
    view.attempt = holding.attempt;
    view.slots = holding.slots;
    view.progress = holding.progress;
  }
  return list;
}

}  // namespace workpool::dispatcher
