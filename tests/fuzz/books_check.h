// SPDX-License-Identifier: MIT
// CHECKs that the scheduler's books agree with themselves: whatever a peer says, they must.
#pragma once

#include "common/base/check.h"
#include "dispatcher/core/ledger.h"

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

}  // namespace workpool::fuzz
