// SPDX-License-Identifier: MIT
#include "dispatcher/core/placement.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace workpool::dispatcher {
namespace {

constexpr Duration kAheadBase =
    milliseconds(20);  // of work that a worker should have in hand beside two round trips
constexpr std::uint32_t kWindowMost = 1024;
// Lines read ahead of their dispatch, per requirement; where there are very many of these, fewer of each.
constexpr std::size_t kFetchLeast = 64;
constexpr std::size_t kFetchMost = 8192;
constexpr std::size_t kFetchAll = 65'536;
// Work that a worker may hold ahead of need, in bytes: what is on its way to one that has stalled fills
// sockets.
constexpr std::uint64_t kAheadBytesMost = 8ull << 20;
constexpr Duration kStuckLeast = milliseconds(100);  // a prefetched job is not called back before
constexpr Duration kRebalanceInterval = milliseconds(50);

}  // namespace

std::uint32_t window_size(std::uint32_t slots, Duration round_trip, std::optional<Duration> mean,
                          std::uint64_t share) {
  if (!mean) return slots;
  const Duration ahead = kAheadBase + 2 * round_trip;
  const std::uint64_t extra = slots * static_cast<std::uint64_t>(ahead / *mean);
  const std::uint64_t most = std::max(kWindowMost, slots);
  return static_cast<std::uint32_t>(std::min({slots + extra, most, std::max<std::uint64_t>(slots, share)}));
}

std::uint32_t Placement::window(const Session& session, std::uint32_t requirement) const {
  const std::uint64_t share = ledger_.jobs().open() * session.slots / std::max(1u, open_slots_) / 2;
  return window_size(session.slots, session.round_trip, ledger_.jobs().mean_run_time(requirement), share);
}

void Placement::hand_out(Step& step) {
  open_.clear();
  open_slots_ = 0;
  for (auto& [id, session] : workers_.sessions()) {
    if (!sessions_.takes_work(session, step.now) || session.emptying || session.held.alone()) continue;
    open_.push_back(&session);
    open_slots_ += session.slots;
  }
  place_alone(step);
  place_ready(step);
  fetch(step);
  rebalance(step);
}

void Placement::fetch(Step& step) {
  ledger_.read_ahead_alone(step);
  const std::uint32_t requirements = static_cast<std::uint32_t>(ledger_.jobs().requirement_count());
  const std::size_t least = std::clamp(kFetchAll / std::max(1u, requirements), std::size_t{2}, kFetchLeast);
  for (std::uint32_t number = 0; number < requirements; ++number) {
    if (ledger_.jobs().unread(number) == 0) continue;
    std::size_t credit = 0;
    for (Session* session : open_) {
      if (workers_.fits(*session, number, ledger_.jobs().requirement(number)))
        credit += window(*session, number);
    }
    // Half of it is read again in the time that the other half takes; more only fills the caches.
    if (credit > 0) ledger_.read_ahead(number, std::clamp(credit / 2, least, kFetchMost), step);
  }
}

// For a job that must run alone: another worker than last time; one that is idle; one that is being emptied
// already; the one with the least to wait for. Nothing where none fits.
Session* Placement::alone_place(const ActiveJob& job, Time now) {
  const std::uint32_t number = job.facts.requirement;
  const auto rank = [&](const Session& s) {
    return std::tuple(s.name == job.last_worker, s.held.jobs() > 0, !s.emptying, s.held.jobs());
  };
  Session* best = nullptr;
  for (auto& [id, session] : workers_.sessions()) {
    if (!sessions_.takes_work(session, now) || session.held.alone()) continue;
    if (!workers_.fits(session, number, ledger_.jobs().requirement(number))) continue;
    if (best == nullptr || rank(session) < rank(*best)) best = &session;
  }
  return best;
}

// Jobs that must run alone go to idle workers. Where there is none for the best of them, one worker is
// emptied: it gets nothing more, gives back what has not started, and gets the job when the rest is done. One
// at a time, so that the others go on.
void Placement::place_alone(Step& step) {
  Session* emptied = nullptr;
  for (const std::uint32_t requirement : ledger_.jobs().alone_requirements()) {
    while (const auto row = ledger_.jobs().front_alone(requirement)) {
      Session* place = alone_place(ledger_.jobs().at(*row), step.now);
      if (place == nullptr) break;  // of this requirement only: others may fit
      if (place->held.jobs() > 0) {
        if (emptied == nullptr) emptied = place;
        break;
      }
      ledger_.give(*place, *row, step);
    }
  }
  for (auto& [id, session] : workers_.sessions()) {
    const bool was = std::exchange(session.emptying, &session == emptied);
    if (session.emptying && !was) ledger_.recall(session, step);
  }
  std::erase_if(open_, [](const Session* session) { return session->emptying || session->held.alone(); });
}

void Placement::place_ready(Step& step) {
  struct Head {
    QueueRank rank;
    std::uint32_t requirement = 0;
  };
  const auto later = [](const Head& a, const Head& b) { return b.rank.before(a.rank); };
  std::vector<Head> heads;
  awaited_.clear();
  if (open_.empty()) return;
  for (std::uint32_t number = 0; number < ledger_.jobs().requirement_count(); ++number) {
    if (const auto rank = ledger_.jobs().front_rank(number)) {
      heads.push_back({*rank, number});
    } else if (const auto unread = ledger_.jobs().unread_rank(number)) {
      await({number, *unread, true});
    }
  }
  std::make_heap(heads.begin(), heads.end(), later);
  while (!heads.empty() && !open_.empty()) {
    std::pop_heap(heads.begin(), heads.end(), later);
    const std::uint32_t requirement = heads.back().requirement;
    heads.pop_back();
    // As long as this requirement has the best job, and somebody for it.
    bool placed = true;
    std::optional<QueueRank> rank = ledger_.jobs().front_rank(requirement);
    while (rank && placed && (heads.empty() || !heads.front().rank.before(*rank))) {
      placed = place_one(requirement, heads.empty() ? nullptr : &heads.front().rank, step);
      rank = ledger_.jobs().front_rank(requirement);
    }
    if (rank && placed) {
      heads.push_back({*rank, requirement});
      std::push_heap(heads.begin(), heads.end(), later);
    } else if (rank) {
      await({requirement, *rank, false});
    } else if (const auto unread = ledger_.jobs().unread_rank(requirement)) {
      await({requirement, *unread, true});
    }
  }
}

void Placement::await(const Awaited& awaited) {
  const auto place =
      std::upper_bound(awaited_.begin(), awaited_.end(), awaited,
                       [](const Awaited& a, const Awaited& b) { return a.rank.before(b.rank); });
  awaited_.insert(place, awaited);
}

// Whether a job of this rank would go before a better one that the session could run: ahead of need
// always, into free slots only where the better one is to take them as soon as its line is read (a wide one
// that does not fit leaves them to others).
bool Placement::must_wait(Session& session, const QueueRank& rank, bool has_free_slots) const {
  for (const Awaited& better : awaited_) {
    if (!better.rank.before(rank)) return false;
    const Requirement& needed = ledger_.jobs().requirement(better.requirement);
    if (!workers_.fits(session, better.requirement, needed)) continue;
    if (!has_free_slots || (better.unread && session.held.slots() + needed.slots <= session.slots))
      return true;
  }
  return false;
}

// Whether the session may get the best ready job of this requirement ahead of need.
bool Placement::may_prefetch(const Session& session, std::uint32_t requirement) {
  const std::uint32_t slots = ledger_.jobs().requirement(requirement).slots;
  if (session.held.slots() + slots > window(session, requirement)) return false;
  return session.held.bytes() + ledger_.jobs().at(*ledger_.jobs().front(requirement)).work.size() <=
         kAheadBytesMost;
}

bool Placement::place_one(std::uint32_t requirement, const QueueRank* next, Step& step) {
  const QueueRank rank = *ledger_.jobs().front_rank(requirement);
  const Requirement& needed = ledger_.jobs().requirement(requirement);
  Session* ahead = nullptr;
  for (std::size_t i = 0; i < open_.size(); ++i) {
    Session& session = *open_[(turn_ + i) % open_.size()];
    if (!workers_.fits(session, requirement, needed)) continue;
    const bool has_free_slots = session.held.slots() + needed.slots <= session.slots;
    if (must_wait(session, rank, has_free_slots)) continue;
    if (has_free_slots) {
      turn_ = (turn_ + i + 1) % open_.size();
      ledger_.give(session, *ledger_.jobs().front(requirement), step);
      return true;
    }
    // Ahead of need: to the one that holds the least for its size.
    if (!may_prefetch(session, requirement)) continue;
    if (ahead == nullptr || std::uint64_t{session.held.slots()} * ahead->slots <
                                std::uint64_t{ahead->held.slots()} * session.slots) {
      ahead = &session;
    }
  }
  if (ahead == nullptr) return false;
  // A run of them in one go: neighbours travel in one message.
  constexpr int kRun = 16;
  for (int i = 0; i < kRun; ++i) {
    const auto best = ledger_.jobs().front_rank(requirement);
    if (!best || (next != nullptr && next->before(*best))) break;
    if (i > 0 && (!may_prefetch(*ahead, requirement) || must_wait(*ahead, *best, false))) break;
    ledger_.give(*ahead, *ledger_.jobs().front(requirement), step);
  }
  return true;
}

// Nothing prefetched is stuck: what has waited behind a long job while somebody who fits has a free slot is
// called back.
void Placement::rebalance(Step& step) {
  if (step.now < rebalanced_ + kRebalanceInterval) return;
  std::vector<Free> free;
  for (Session* session : open_) {
    if (session->held.slots() < session->slots)
      free.push_back({session, session->slots - session->held.slots()});
  }
  if (free.empty()) return;
  rebalanced_ = step.now;
  for (Session* session : open_) {
    if (session->held.slots() > session->slots) recall_stuck(*session, free, step);
  }
}

// From the end of what the session holds, since that starts last.
void Placement::recall_stuck(Session& session, std::vector<Free>& free, Step& step) {
  const Duration limit = std::max(kStuckLeast, 5 * (kAheadBase + 2 * session.round_trip));
  std::uint32_t unstarted = session.held.slots() - session.slots;
  std::vector<HoldingRow> stuck;
  const Holdings& holdings = ledger_.holdings();
  for (HoldingRow row = holdings.last(session.held); row != kNoHolding; row = holdings.previous(row)) {
    const Holding& holding = holdings.at(row);
    if (holding.slots > unstarted) break;
    unstarted -= holding.slots;
    if (step.now - holding.since < limit) continue;
    const ActiveJob& job = ledger_.jobs().at(holding.job);
    const std::uint32_t number = job.facts.requirement;
    const auto taker = std::find_if(free.begin(), free.end(), [&](const Free& place) {
      return place.slots >= job.facts.slots &&
             workers_.fits(*place.session, number, ledger_.jobs().requirement(number));
    });
    if (taker == free.end()) continue;
    taker->slots -= job.facts.slots;
    stuck.push_back(row);
  }
  ledger_.recall(session, stuck, step);
}

}  // namespace workpool::dispatcher
