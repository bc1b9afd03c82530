// SPDX-License-Identifier: MIT
// CHECKs that the scheduler's books agree with themselves: whatever a peer says, they must.
#pragma once

#include "common/base/check.h"
#include "dispatcher/core/ledger.h"

namespace workpool::fuzz {

inline void check_session(const dispatcher::Ledger& ledger, const dispatcher::Session& session) {
  std::uint32_t jobs = 0;
  std::uint32_t slots = 0;
  std::uint32_t before = dispatcher::ActiveJob::kNone;
  for (dispatcher::JobRow row = session.first_held; row != dispatcher::ActiveJob::kNone;
       row = ledger.jobs().at(row).next) {
    CHECK(ledger.jobs().used(row));
    const dispatcher::ActiveJob& job = ledger.jobs().at(row);
    const auto* assigned = std::get_if<dispatcher::Assigned>(&job.state);
    CHECK(assigned != nullptr && assigned->session == session.id);
    CHECK(job.previous == before);
    before = row;
    ++jobs;
    slots += job.facts.slots;
  }
  CHECK(session.last_held == before);
  CHECK(session.held_jobs == jobs && session.held_slots == slots);
  CHECK(session.acks.ack() <= session.acks.received());
}

inline void check_books(const dispatcher::Ledger& ledger, const dispatcher::WorkerTable& workers) {
  std::uint64_t held = 0;
  for (const auto& [id, session] : workers.sessions()) {
    check_session(ledger, session);
    held += session.held_jobs;
  }
  std::uint64_t assigned = 0;
  std::uint64_t delayed = 0;
  std::uint64_t used = 0;
  for (dispatcher::JobRow row = 0; row < ledger.jobs().rows(); ++row) {
    if (!ledger.jobs().used(row)) continue;
    ++used;
    const auto& state = ledger.jobs().at(row).state;
    assigned += std::holds_alternative<dispatcher::Assigned>(state) ? 1 : 0;
    delayed += std::holds_alternative<dispatcher::Backoff>(state) ? 1 : 0;
  }
  CHECK(held == assigned && assigned == ledger.jobs().assigned());
  CHECK(delayed == ledger.jobs().delayed());
  std::uint64_t open = 0;
  for (std::uint32_t number = 0; number < ledger.jobs().requirement_count(); ++number) {
    open += ledger.jobs().open(number);
  }
  CHECK(open == ledger.jobs().open() && used <= open);
}

}  // namespace workpool::fuzz
