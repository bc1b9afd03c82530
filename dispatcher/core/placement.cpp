// SPDX-License-Identifier: MIT
#include "dispatcher/core/placement.h"

#include <algorithm>

namespace workpool::dispatcher {
namespace {

constexpr Duration kAheadBase =
    milliseconds(20);  // of work that a worker should have in hand beside two round trips
constexpr std::uint32_t kWindowMost = 1024;
constexpr std::size_t kFetchLeast = 64;  // lines read ahead of their dispatch, per requirement
constexpr std::size_t kFetchMost = 8192;
constexpr Duration kStuckLeast = milliseconds(100);  // a prefetched job is not called back before

}  // namespace

std::uint32_t Placement::window(const Session& session, std::uint32_t requirement) const {
  const auto mean = ledger_.jobs.mean_run_time(requirement);
  if (!mean) return session.slots;
  const Duration ahead = kAheadBase + 2 * session.round_trip;
  const std::uint64_t extra = session.slots * static_cast<std::uint64_t>(ahead / *mean);
  const std::uint64_t most = std::max(kWindowMost, session.slots);
  const std::uint64_t share = ledger_.jobs.open() * session.slots / std::max(1u, open_slots_) / 2;
  const std::uint64_t wanted =
      std::min({session.slots + extra, most, std::max<std::uint64_t>(session.slots, share)});
  return static_cast<std::uint32_t>(wanted);
}

void Placement::hand_out(Step& step) {
  open_.clear();
  open_slots_ = 0;
  for (auto& [id, session] : ledger_.workers.sessions()) {
    if (!sessions_.takes_work(session, step.now) || session.emptying || session.exclusive) continue;
    open_.push_back(&session);
    open_slots_ += session.slots;
  }
  place_alone(step);
  place_ready(step);
  fetch(step);
  rebalance(step);
}

void Placement::fetch(Step& step) {
  ledger_.jobs.fetch_alone(step.load);
  for (std::uint32_t number = 0; number < ledger_.jobs.requirement_count(); ++number) {
    if (ledger_.jobs.open(number) == 0) continue;
    std::size_t credit = 0;
    for (Session* session : open_) {
      if (ledger_.workers.fits(*session, number, ledger_.jobs.requirement(number)))
        credit += window(*session, number);
    }
    if (credit > 0) ledger_.jobs.fetch(number, std::clamp(2 * credit, kFetchLeast, kFetchMost), step.load);
  }
}

// A worker is emptied for a job that must run alone: it gets nothing more, gives back what has not started,
// and gets the job when the rest is done.
void Placement::place_alone(Step& step) {
  const auto slot = ledger_.jobs.front_alone();
  for (auto& [id, session] : ledger_.workers.sessions()) {
    if (!slot) session.emptying = false;
  }
  if (!slot) return;
  const ActiveJob& job = ledger_.jobs.at(*slot);
  Session* chosen = nullptr;
  for (auto& [id, session] : ledger_.workers.sessions()) {
    if (!sessions_.takes_work(session, step.now) || session.exclusive) continue;
    if (!ledger_.workers.fits(session, job.facts.requirement,
                              ledger_.jobs.requirement(job.facts.requirement)))
      continue;
    // Another than last time; one that is idle; one that is being emptied already; the one with the least to
    // wait for.
    const auto rank = [&](const Session& s) {
      return std::tuple(s.name == job.last_worker, s.held_jobs > 0, !s.emptying, s.held_jobs);
    };
    if (chosen == nullptr || rank(session) < rank(*chosen)) chosen = &session;
  }
  for (auto& [id, session] : ledger_.workers.sessions()) {
    if (&session != chosen) session.emptying = false;  // it takes work again, from the next pass on
  }
  if (chosen == nullptr) return;
  if (chosen->held_jobs > 0) {
    if (!chosen->emptying) ledger_.recall(*chosen, chosen->held_jobs, step);
    chosen->emptying = true;
    open_.erase(std::remove(open_.begin(), open_.end(), chosen), open_.end());
    return;
  }
  chosen->emptying = false;
  open_.erase(std::remove(open_.begin(), open_.end(), chosen), open_.end());
  ledger_.give(*chosen, *slot, step);
  chosen->exclusive = true;
}

void Placement::place_ready(Step& step) {
  struct Head {
    QueueRank rank;
    std::uint32_t requirement = 0;
  };
  const auto later = [](const Head& a, const Head& b) { return b.rank.before(a.rank); };
  std::vector<Head> heads;
  awaited_.clear();
  for (std::uint32_t number = 0; number < ledger_.jobs.requirement_count(); ++number) {
    if (const auto rank = ledger_.jobs.front_rank(number)) {
      heads.push_back({*rank, number});
    } else if (const auto priority = ledger_.jobs.unread_priority(number)) {
      awaited_.push_back({number, *priority, true});
    }
  }
  std::make_heap(heads.begin(), heads.end(), later);
  while (!heads.empty() && !open_.empty()) {
    std::pop_heap(heads.begin(), heads.end(), later);
    const std::uint32_t requirement = heads.back().requirement;
    heads.pop_back();
    // As long as this requirement has the best job, and somebody for it.
    bool placed = true;
    std::optional<QueueRank> rank = ledger_.jobs.front_rank(requirement);
    while (rank && placed && (heads.empty() || !heads.front().rank.before(*rank))) {
      placed = place_one(requirement, rank->priority, step);
      rank = ledger_.jobs.front_rank(requirement);
    }
    if (rank && placed) {
      heads.push_back({*rank, requirement});
      std::push_heap(heads.begin(), heads.end(), later);
    } else if (rank) {
      awaited_.push_back({requirement, rank->priority, false});
    } else if (const auto priority = ledger_.jobs.unread_priority(requirement)) {
      awaited_.push_back({requirement, *priority, true});
    }
  }
}

// Whether a job of this priority would go before a better one that the session could run: ahead of need
// always, into free slots only where the better one is to take them as soon as its line is read (a wide one
// that does not fit leaves them to others).
bool Placement::must_wait(Session& session, std::int32_t priority, bool has_free_slots) const {
  return std::any_of(awaited_.begin(), awaited_.end(), [&](const Awaited& better) {
    if (better.priority <= priority) return false;
    const Requirement& needed = ledger_.jobs.requirement(better.requirement);
    if (!ledger_.workers.fits(session, better.requirement, needed)) return false;
    return !has_free_slots || (better.unread && session.held_slots + needed.slots <= session.slots);
  });
}

bool Placement::place_one(std::uint32_t requirement, std::int32_t priority, Step& step) {
  const Requirement& needed = ledger_.jobs.requirement(requirement);
  Session* ahead = nullptr;
  for (std::size_t i = 0; i < open_.size(); ++i) {
    Session& session = *open_[(turn_ + i) % open_.size()];
    if (!ledger_.workers.fits(session, requirement, needed)) continue;
    const bool has_free_slots = session.held_slots + needed.slots <= session.slots;
    if (must_wait(session, priority, has_free_slots)) continue;
    if (has_free_slots) {
      turn_ = (turn_ + i + 1) % open_.size();
      ledger_.give(session, *ledger_.jobs.front(requirement), step);
      return true;
    }
    // Ahead of need: to the one that holds the least for its size.
    if (session.held_slots + needed.slots > window(session, requirement)) continue;
    if (ahead == nullptr ||
        std::uint64_t{session.held_slots} * ahead->slots < std::uint64_t{ahead->held_slots} * session.slots) {
      ahead = &session;
    }
  }
  if (ahead == nullptr) return false;
  // A run of them in one go: neighbours travel in one message.
  constexpr int kRun = 16;
  for (int i = 0; i < kRun; ++i) {
    const auto rank = ledger_.jobs.front_rank(requirement);
    if (!rank || rank->priority != priority) break;
    if (i > 0 && ahead->held_slots + needed.slots > window(*ahead, requirement)) break;
    ledger_.give(*ahead, *ledger_.jobs.front(requirement), step);
  }
  return true;
}

// Nothing prefetched is stuck: what has waited behind a long job while somebody has a free slot is called
// back.
void Placement::rebalance(Step& step) {
  std::uint32_t free_slots = 0;
  for (const Session* session : open_) {
    if (session->held_slots < session->slots) free_slots += session->slots - session->held_slots;
  }
  if (free_slots == 0) return;
  for (Session* session : open_) {
    if (session->held_slots <= session->slots || session->last_held == ActiveJob::kNone) continue;
    const auto& assigned = std::get<Assigned>(ledger_.jobs.at(session->last_held).state);
    const Duration limit = std::max(kStuckLeast, 5 * (kAheadBase + 2 * session->round_trip));
    if (assigned.recalled || step.now - assigned.since < limit) continue;
    ledger_.recall(*session, std::min(free_slots, session->held_jobs - session->slots), step);
  }
}

}  // namespace workpool::dispatcher
