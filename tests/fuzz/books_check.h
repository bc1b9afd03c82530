// SPDX-License-Identifier: MIT
// CHECKs that the scheduler's books agree with themselves: whatever a peer says, they must.
#pragma once

#include <set>

#include "common/base/check.h"
#include "dispatcher/core/scheduler.h"

namespace workpool::fuzz {

inline void check_session(const dispatcher::Ledger& ledger, const dispatcher::Session& session) {
  const dispatcher::Holdings& holdings = ledger.holdings();
  std::uint32_t jobs = 0;
  std::uint32_t slots = 0;
  std::uint32_t doubtful = 0;
  dispatcher::HoldingRow before = dispatcher::kNoHolding;
  for (auto row = holdings.first(session.held); row != dispatcher::kNoHolding; row = holdings.next(row)) {
    const dispatcher::Holding& holding = holdings.at(row);
    CHECK(holding.holder == &session.held && !holding.is<dispatcher::GivenUp>());
    CHECK(holdings.previous(row) == before);
    CHECK(ledger.jobs().used(holding.job));
    const dispatcher::ActiveJob& job = ledger.jobs().at(holding.job);
    CHECK(std::holds_alternative<dispatcher::Assigned>(job.state) && job.facts.slots == holding.slots);
    before = row;
    ++jobs;
    holding.is<dispatcher::Doubtful>() ? ++doubtful : slots += holding.slots;
  }
  CHECK(holdings.last(session.held) == before);
  CHECK(session.held.jobs() == jobs && session.held.slots() == slots && session.held.doubtful() == doubtful);
  CHECK(session.acks.ack() <= session.acks.received());
}

inline void check_books(const dispatcher::Ledger& ledger, const dispatcher::WorkerTable& workers) {
  std::uint64_t held = 0;
  for (const auto& [id, session] : workers.sessions()) {
    check_session(ledger, session);
    held += session.held.jobs();
  }
  std::uint64_t assigned = 0;
  std::uint64_t delayed = 0;
  std::uint64_t used = 0;
  for (dispatcher::JobRow row = 0; row < ledger.jobs().rows(); ++row) {
    if (!ledger.jobs().used(row)) continue;
    ++used;
    const auto& state = ledger.jobs().at(row).state;
    const bool is_assigned = std::holds_alternative<dispatcher::Assigned>(state);
    CHECK(is_assigned == (ledger.holdings().live_of(row) != dispatcher::kNoHolding));
    assigned += is_assigned ? 1 : 0;
    delayed += std::holds_alternative<dispatcher::Backoff>(state) ? 1 : 0;
  }
  CHECK(held == ledger.holdings().live() && held == assigned && assigned == ledger.jobs().assigned());
  CHECK(delayed == ledger.jobs().delayed());
  std::uint64_t open = 0;
  for (std::uint32_t number = 0; number < ledger.jobs().classes().size(); ++number) {
    open += ledger.jobs().open(number);
  }
  CHECK(open == ledger.jobs().open() && used <= open);
}

// Whether the event comes with a key that is not that of the session or worker that it speaks for.
inline bool is_foreign(const dispatcher::Scheduler& scheduler, const dispatcher::Event& event,
                       const std::set<dispatcher::KeyId>& revoked) {
  const auto of_session = [&](SessionId id, dispatcher::KeyId key) {
    const dispatcher::Session* session = scheduler.worker_table().find(id);
    return session != nullptr && session->key != key;
  };
  if (const auto* sink = std::get_if<dispatcher::SinkReceived>(&event))
    return of_session(sink->header.session, sink->key);
  if (const auto* part = std::get_if<dispatcher::PartReceived>(&event))
    return of_session(part->session, part->key);
  const auto* hello = std::get_if<dispatcher::HelloReceived>(&event);
  if (hello == nullptr) return false;
  const auto& workers = scheduler.worker_table().workers();
  const auto known = workers.find(hello->hello.worker);
  // Whose key was revoked may come back with another one.
  return known != workers.end() && known->second.key != hello->key && !revoked.contains(known->second.key);
}

// All that may come of it.
inline bool is_refusal(const dispatcher::Action& action) {
  const auto* report = std::get_if<dispatcher::Report>(&action);
  return std::holds_alternative<dispatcher::Refuse>(action) ||
         (report != nullptr && std::holds_alternative<dispatcher::SpokeForAnother>(*report));
}

// What was decided on an event: nothing if that was foreign, and no jobs for whose key has been revoked.
inline void check_keys(const dispatcher::Scheduler& scheduler, const dispatcher::Actions& actions,
                       bool foreign, const std::set<dispatcher::KeyId>& revoked) {
  for (const dispatcher::Action& action : actions) {
    CHECK(!foreign || is_refusal(action));
    const auto* down = std::get_if<dispatcher::SendLane>(&action);
    if (down == nullptr || !std::holds_alternative<Jobs>(down->message)) continue;
    const dispatcher::Session* session = scheduler.worker_table().find(down->session);
    CHECK(session == nullptr || !revoked.contains(session->key));
  }
}

}  // namespace workpool::fuzz
