// SPDX-License-Identifier: MIT
#include "dispatcher/core/conduct.h"

#include <algorithm>
#include <utility>

#include "common/base/handler_start.h"
#include "common/formats/handler_program.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kLookInterval = seconds(1);
// A worker ends a job at its timeout, and kills what does not end for up to 5 s more. Beyond twice the
// timeout and the worker timeout it is not going to. The timeout of a handler's job counts only once its
// program has started, of which the worker says nothing.
constexpr int kTimeouts = 2;
// A worker names in its beats what has run for a second. So long after it is known to have a job, and has
// room for it, this one does not run. In that time nothing may have come of its other jobs either: a slow
// line, a full disk or results that wait for each other look the same.
constexpr Duration kStartLeast = seconds(20);
constexpr int kStartTimeouts = 3;
// If we were away for longer, all waits begin anew.
constexpr Duration kAwayMost = seconds(5);
// Handing over what an earlier session left takes a while on a slow line; each message of it counts.
constexpr Duration kReadyLeast = seconds(60);

// On the thinnest line promised, of 1 Mbit/s.
Duration time_on_its_way(std::uint64_t bytes) { return microseconds(static_cast<std::int64_t>(8 * bytes)); }

// Whether a program may have to be started for it.
bool may_start_slowly(const Requirement& needed) {
  return needed.kind() == JobKind::kHandler && std::ranges::count(kBuiltinHandlers, needed.type) == 0;
}

}  // namespace

void Conduct::judge(Step& step) {
  if (step.now < looked_at_ + kLookInterval) return;
  if (step.now > looked_at_ + kAwayMost) stalled_.clear();
  looked_at_ = step.now;
  std::vector<std::pair<SessionId, LeaveCause>> faulty;
  found_.clear();
  stalled_now_.clear();
  for (auto& [id, session] : workers_.sessions()) {
    if (const auto fault = fault_of(session, step.now)) {
      faulty.emplace_back(id, *fault);
    } else if (std::holds_alternative<Live>(session.phase)) {
      look_at_timeouts(session, step);
      look_at_starts(session, step);
    }
  }
  std::swap(seen_, found_);
  std::swap(stalled_, stalled_now_);
  for (const auto& [id, fault] : faulty) sessions_.end(id, fault, step);
}

std::optional<LeaveCause> Conduct::fault_of(const Session& session, Time now) const {
  if (std::holds_alternative<Arriving>(session.phase)) {
    const Duration limit = std::max(kReadyLeast, 6 * options_.worker_timeout);
    if (now >= session.last_answer + limit) return NeverReady{};
    return std::nullopt;
  }
  if (!std::holds_alternative<Live>(session.phase)) return std::nullopt;
  if (leaves_recall_unanswered(session, now)) return KeptWhatWasRecalled{};
  if (owes_a_result(session, now)) return OwesAResult{};
  return std::nullopt;
}

// A job that cannot have been started, since everything in front of it still runs, must be returned at once.
// This is judged only if the worker has heard the RECALL (it echoes a later beat, or has had three times as
// long, and the time that the work in front of it takes on a thin line), and has no result that waits for an
// ack.
bool Conduct::leaves_recall_unanswered(const Session& session, Time now) const {
  if (session.acks.ack() != session.acks.received()) return false;
  const Holdings& holdings = ledger_.holdings();
  HoldingRow row = holdings.running(session.held, session.slots).next;
  for (; row != kNoHolding; row = holdings.next(row)) {
    const auto* recalled = std::get_if<Recalled>(&holdings.at(row).phase);
    if (recalled == nullptr || session.last_progress >= recalled->since) continue;
    const bool heard = session.last_echo > recalled->since;
    const Duration limit =
        heard ? options_.worker_timeout : 3 * options_.worker_timeout + time_on_its_way(session.held.bytes());
    if (now >= recalled->since + limit) return true;
  }
  return false;
}

// A result that is held back comes within moments. What the worker has said since, such as the echo of a
// later beat, was sent after it was due; if no result waits for an ack, none waits for the result window
// either.
bool Conduct::owes_a_result(const Session& session, Time now) const {
  if (session.held.doubtful() == 0 || session.acks.ack() != session.acks.received()) return false;
  if (now < session.last_progress + options_.worker_timeout) return false;
  const Holdings& holdings = ledger_.holdings();
  for (HoldingRow row = holdings.first(session.held); row != kNoHolding; row = holdings.next(row)) {
    const auto* ended = std::get_if<Doubtful>(&holdings.at(row).phase);
    if (ended != nullptr && session.last_echo > ended->since + options_.worker_timeout) return true;
  }
  return false;
}

void Conduct::look_at_timeouts(const Session& session, Step& step) {
  const Holdings& holdings = ledger_.holdings();
  const HoldingRow end = holdings.running(session.held, session.slots).next;
  for (HoldingRow row = holdings.first(session.held); row != end; row = holdings.next(row)) {
    const Holding& holding = holdings.at(row);
    const JobFacts& facts = ledger_.jobs().at(holding.job).facts;
    if (holding.is<Doubtful>() || facts.timeout.count() == 0) continue;
    Seen seen{ledger_.jobs().handle(holding.job), holding.attempt, step.now, false};
    if (const auto before = seen_.find(row);
        before != seen_.end() && before->second.job == seen.job && before->second.attempt == seen.attempt)
      seen = before->second;
    const Duration ran = step.now - seen.since;
    const Duration start = may_start_slowly(ledger_.jobs().requirement(facts.requirement))
                               ? handler_start_most(facts.timeout)
                               : Duration(0);
    if (!seen.named && ran > start + kTimeouts * facts.timeout + options_.worker_timeout) {
      seen.named = true;
      step.decide(Report{OverItsTimeout{facts.full_id(), session.name, ran, facts.timeout}});
    }
    found_.emplace(row, seen);
  }
}

void Conduct::look_at_starts(Session& session, Step& step) {
  // While results wait for the disk, others may wait behind them at the worker.
  if (session.acks.ack() != session.acks.received() || !has_not_started(session, step.now)) return;
  const auto before = stalled_.find(session.id);
  const Time since = std::max(before == stalled_.end() ? step.now : before->second, session.last_progress);
  if (step.now < since + std::max(kStartLeast, kStartTimeouts * options_.worker_timeout)) {
    stalled_now_.emplace(session.id, since);
    return;
  }
  take_unstarted(session, step);
}

// Whether a job that its slots have room for is not said to run. A worker has a job once it echoes a beat
// that was sent later; one that echoes nothing has it after a while nevertheless.
bool Conduct::has_not_started(const Session& session, Time now) const {
  const Holdings& holdings = ledger_.holdings();
  const HoldingRow end = holdings.running(session.held, session.slots).next;
  const Duration patience = 3 * options_.worker_timeout + time_on_its_way(session.held.bytes());
  for (HoldingRow row = holdings.first(session.held); row != end; row = holdings.next(row)) {
    const Holding& holding = holdings.at(row);
    if (holding.begun || !(holding.is<Sent>() || holding.is<Recalled>())) continue;
    if (session.last_echo > holding.since || now >= holding.since + patience) return true;
  }
  return false;
}

// Also what waits behind: if nothing begins there, that will not either.
void Conduct::take_unstarted(Session& session, Step& step) {
  const Holdings& holdings = ledger_.holdings();
  std::vector<HoldingRow> rows;
  for (HoldingRow row = holdings.first(session.held); row != kNoHolding; row = holdings.next(row)) {
    const Holding& holding = holdings.at(row);
    if (!holding.begun && (holding.is<Sent>() || holding.is<Recalled>())) rows.push_back(row);
  }
  const Holding& first = holdings.at(rows.front());
  step.decide(Report{JobsTakenAway{session.name, rows.size(), ledger_.jobs().at(first.job).facts.full_id(),
                                   step.now - first.since}});
  ledger_.take_away(session, rows, step);
  sessions_.distrust(session, step);
}

}  // namespace workpool::dispatcher
