// SPDX-License-Identifier: MIT
#include "dispatcher/core/placement.h"

#include <algorithm>
#include <numeric>
#include <tuple>
#include <utility>

namespace workpool::dispatcher {
namespace {

constexpr Duration kAheadBase =
    milliseconds(20);  // of work that a worker should have in hand, besides two round trips
// Lines read ahead of their dispatch: of one class at least, and at most of all together. If there are very
// many classes, fewer of each: what comes next in the file is then next to what was read.
constexpr std::size_t kFetchLeast = 64;
constexpr std::size_t kFetchMost = 8192;
// Work that a worker may hold ahead of need, in bytes: what is on its way to one that has stalled fills
// sockets.
constexpr std::uint64_t kAheadBytesMost = 8ull << 20;
constexpr Duration kStuckLeast = milliseconds(100);  // a prefetched job is not called back before
constexpr Duration kRebalanceInterval = milliseconds(50);
// Jobs that no class brings into the order look so often whether their limit still holds them up.
constexpr Duration kLimitsAgain = milliseconds(50);
// For people only, so with many classes it is done less often: of 200,000 it takes up to 75 ms.
constexpr Duration kHeldUpInterval = seconds(1);
constexpr std::size_t kHeldUpClasses = 50'000;

// So much work goes to one worker in one message, even if that is more than its share or others have free
// slots: they wait a millisecond, and each message costs all processes a tenth of one.
constexpr Duration kMessageWork = milliseconds(1);
constexpr std::uint32_t kMessageJobsMost = 256;
// Jobs that a worker gets ahead of need in one go, so that the search for it is not made for each of many.
constexpr std::uint32_t kRunLeast = 16;

// How many jobs take that long; at least one.
std::uint32_t worth_a_message(std::optional<Duration> mean) {
  if (!mean) return 1;
  const auto jobs = static_cast<std::uint64_t>(kMessageWork / std::max(*mean, Duration{1}));
  return static_cast<std::uint32_t>(std::clamp<std::uint64_t>(jobs, 1, kMessageJobsMost));
}

}  // namespace

std::uint32_t window_size(std::uint32_t slots, Duration round_trip, std::optional<Duration> mean,
                          std::uint64_t share) {
  if (!mean) return slots;
  const Duration ahead = kAheadBase + 2 * round_trip;
  const std::uint64_t extra = slots * static_cast<std::uint64_t>(ahead / *mean);
  return static_cast<std::uint32_t>(
      std::min({slots + extra, slots_held_most(slots), std::max<std::uint64_t>(slots, share)}));
}

std::uint32_t Placement::window(const Place& place, std::uint32_t number) const {
  const Session& session = *place.session;
  const std::uint64_t share =
      ledger_.jobs().open() * place.believed().slots / std::max(1u, fleet_.room().slots) / 2;
  const auto mean = ledger_.jobs().mean_run_time(number);
  const std::uint64_t floor = std::uint64_t{session.slots} * worth_a_message(mean);
  return window_size(session.slots, session.round_trip, mean, std::max(share, floor));
}

// ---- what has changed ----

void Placement::look(Time now) {
  const auto takes_work = [&](const Session& session) { return sessions_.takes_work(session, now); };
  if (fleet_.update(takes_work)) changed_ = true;
  if (!ledger_.jobs().choosy().empty()) review_choosy(now);
  for (const std::uint32_t number : classes_.take_changed()) {
    changed_ = true;
    look_at(number);
  }
  for (const Limits::Gate gate : limits_.take_opened()) {
    changed_ = true;
    let_in(gate);
  }
  count_held_up(now);
}

void Placement::count_held_up(Time now) {
  if (now < count_held_up_at_) return;
  count_held_up_at_ = now + kHeldUpInterval * (1 + limits_.waiting() / kHeldUpClasses);
  jobs_held_up_ = 0;
  worst_held_up_.reset();
  if (limits_.waiting() == 0) return;
  const std::vector<std::uint64_t> jobs = waiting_at_gates();
  jobs_held_up_ = std::accumulate(jobs.begin(), jobs.end(), std::uint64_t{0});
  const auto worst = std::max_element(jobs.begin(), jobs.end());
  worst_held_up_ = held_up_at(static_cast<Limits::Gate>(worst - jobs.begin()), *worst);
}

std::vector<std::uint64_t> Placement::waiting_at_gates() const {
  std::vector<std::uint64_t> jobs(limits_.gates());
  limits_.each_waiting(
      [&](Limits::Gate gate, std::uint32_t number) { jobs[gate] += ledger_.jobs().waiting(number); });
  return jobs;
}

HeldUp Placement::held_up_at(Limits::Gate gate, std::uint64_t jobs) const {
  return {limits_.key(gate), limits_.rule(gate), limits_.held(gate), jobs};
}

bool Placement::enter(std::uint32_t number, const QueueRank& rank) {
  if (limits_.admit(number, rank)) {
    heads_.set(number, rank);
    return true;
  }
  heads_.erase(number);
  release(number);
  return false;
}

void Placement::leave(std::uint32_t number) {
  heads_.erase(number);
  limits_.leave(number);
  let_in_behind(number);
}

void Placement::let_in(Limits::Gate gate) {
  while (const auto number = limits_.next_at(gate)) {
    const auto rank = ledger_.jobs().head_rank(*number);
    if (rank && enter(*number, *rank)) return;
  }
}

void Placement::let_in_behind(std::uint32_t number) {
  for (const Limits::Gate gate : limits_.gates_of(number)) let_in(gate);
}

void Placement::look_at(std::uint32_t number) {
  const auto rank = ledger_.jobs().head_rank(number);
  if (rank && classes_.fitting(number) > 0) {
    if (!enter(number, *rank)) let_in_behind(number);
    if (is_hungry_.size() <= number) is_hungry_.resize(number + 1, 0);
    if (std::exchange(is_hungry_[number], 1) == 0) hungry_.push_back(number);
  } else {
    leave(number);
  }
  fleet_.has_work(number, rank.has_value());
  if (rank) return;
  release(number);
  if (ledger_.free_class(number)) fleet_.forget(number);
}

void Placement::hand_out(Step& step) {
  if (std::exchange(changed_, false) || step.now >= look_again_) {
    ++looked_.passes;
    look_again_ = Time::max();
    place_alone(step);
    place_choosy(false, step);
    place_ready(step);
    place_choosy(true, step);
    if (workers_.any_benched()) place_probes(step);
    fetch(step);
  }
  rebalance(step);
}

void Placement::fetch(Step& step) {
  ledger_.read_ahead_special(step);
  const std::size_t classes = std::max<std::size_t>(1, heads_.size() + limits_.waiting());
  const std::size_t least = std::clamp(2 * kFetchMost / classes, std::size_t{2}, kFetchLeast);
  const std::size_t most = std::max(least, kFetchMost / classes);
  std::vector<std::uint32_t> still_hungry;
  auto next = hungry_.begin();
  for (; next != hungry_.end() && step.load.jobs.size() < JobBook::kLoadMost; ++next) {
    const std::uint32_t number = *next;
    ++looked_.asked;
    is_hungry_[number] = 0;
    if (!heads_.has(number) && !limits_.waits(number)) continue;
    if (ledger_.jobs().unread(number) == 0) continue;
    std::size_t credit = 0;
    for (const Place* place : fleet_.with_work()) {
      if (place->fits(number)) credit += window(*place, number);
    }
    // One half is read while the other half is used up; more would only fill the caches.
    if (ledger_.read_ahead(number, std::clamp(credit / 2, least, most), step)) continue;
    is_hungry_[number] = 1;
    still_hungry.push_back(number);
  }
  hungry_.erase(hungry_.begin(), next);
  hungry_.insert(hungry_.begin(), still_hungry.begin(), still_hungry.end());
}

bool Placement::may_start(std::uint32_t number, Time now) {
  if (limits_.open(number)) return true;
  look_again_by(now + kLimitsAgain);
  return false;
}

std::vector<HeldUp> Placement::held_up() const {
  std::vector<HeldUp> all;
  const std::vector<std::uint64_t> jobs = waiting_at_gates();
  for (Limits::Gate gate = 0; gate < jobs.size(); ++gate) {
    if (jobs[gate] > 0) all.push_back(held_up_at(gate, jobs[gate]));
  }
  std::sort(all.begin(), all.end(), [](const HeldUp& a, const HeldUp& b) {
    return std::tuple(b.jobs, std::string_view(a.key)) < std::tuple(a.jobs, std::string_view(b.key));
  });
  return all;
}

// ---- jobs that must run alone ----

// For a job that must run alone: another worker than last time; one that is idle; one that is being emptied
// already; the one with the least to wait for. Returns nullptr if none fits.
Place* Placement::alone_place(const ActiveJob& job) {
  const auto rank = [&](const Session& s) {
    return std::tuple(s.name == job.trouble().last_worker, s.held.jobs() > 0, !s.emptying, s.held.jobs());
  };
  Place* best = nullptr;
  for (const auto& [id, known] : fleet_.places()) {
    if (!known.takes_work || known.session->held.alone() || !known.fits(job.facts.requirement)) continue;
    if (job.trouble().choosy && should_avoid(job, known.session->worker) && has_any_other(job)) continue;
    if (best == nullptr || rank(*known.session) < rank(*best->session)) best = fleet_.find(id);
  }
  return best;
}

// Jobs that must run alone go to idle workers. If there is none for the best of them, one worker is emptied:
// it gets nothing more, gives back what has not started, and gets the job when the rest is done. One at a
// time, so that the others go on.
void Placement::place_alone(Step& step) {
  Place* emptied = nullptr;
  for (const std::uint32_t number : ledger_.jobs().alone_requirements()) {
    while (const auto row = ledger_.jobs().front_alone(number)) {
      if (!may_start(number, step.now)) break;
      Place* place = alone_place(ledger_.jobs().at(*row));
      if (place == nullptr) break;  // of this class only: others may fit
      if (place->session->held.jobs() > 0) {
        if (emptied == nullptr) emptied = place;
        break;
      }
      ledger_.give(*place->session, *row, step);
      place->reserved.reset();
    }
  }
  if (emptied == nullptr && insisted_on_) emptied = fleet_.find(*insisted_on_);
  empty(emptied, step);
}

// This one, and no other any more.
void Placement::empty(Place* place, Step& step) {
  if (emptying_ && (place == nullptr || place->id != *emptying_)) {
    if (Place* before = fleet_.find(*emptying_)) before->session->emptying = false;
    emptying_.reset();
  }
  if (place == nullptr) return;
  emptying_ = place->id;
  place->reserved.reset();
  if (!std::exchange(place->session->emptying, true)) ledger_.recall(*place->session, step);
}

// ---- all others ----

void Placement::place_ready(Step& step) {
  takers_.clear();
  for (Place* place : fleet_.with_work()) {
    if (!place->alone() && place->session->may_hold_more())
      takers_.push_back({.place = place, .held_before = place->held().slots});
  }
  open_ = takers_.size();
  looked_.sessions += open_;
  waiting_.clear();
  while (!heads_.empty() && open_ > 0) {
    ++looked_.classes;
    const std::uint32_t number = heads_.best().number;
    const bool is_ready = ledger_.jobs().front(number).has_value();
    const bool is_held_up = !enter(number, heads_.best().rank);
    if (!is_held_up && !(is_ready && place_class(number, step))) {
      is_ready ? await_room(number, step) : await_line(number);
      heads_.erase(number);
      waiting_.push_back(number);
    }
    let_in_behind(number);
  }
  for (const std::uint32_t number : waiting_) heads_.set(number, *ledger_.jobs().head_rank(number));
}

bool Placement::place_class(std::uint32_t number, Step& step) {
  const auto next = heads_.second();
  std::optional<Front> best = ledger_.jobs().front(number);
  while (best && (!next || !next->before(best->rank)) && limits_.open(number)) {
    if (!place_one(number, *best, next, step)) return false;
    best = ledger_.jobs().front(number);
  }
  const std::optional<QueueRank> rank = best ? best->rank : ledger_.jobs().unread_rank(number);
  rank ? static_cast<void>(enter(number, *rank)) : heads_.erase(number);
  return true;
}

std::uint32_t Placement::room_ahead(const Taker& taker, std::uint32_t number) const {
  const std::uint32_t most = window(*taker.place, number);
  const std::uint32_t held = taker.place->held().slots;
  if (held >= most) return 0;
  // A worker is filled up only once a quarter of its window is free: a few tiny jobs are not worth a message.
  if (most - std::min(most, taker.held_before) < most / 4) return 0;
  return (most - held) / classes_.at(number).needs().slots;
}

bool Placement::may_carry(const Taker& taker, JobRow row) const {
  const Session& session = *taker.place->session;
  return session.may_hold_more() &&
         session.held.bytes() + ledger_.jobs().at(row).work.size() <= kAheadBytesMost;
}

void Placement::give_run(const Taker& taker, std::uint32_t number, const std::optional<QueueRank>& next,
                         std::uint32_t most, Step& step) {
  for (std::uint32_t left = std::min(most, room_ahead(taker, number)); left > 0; --left) {
    const auto best = ledger_.jobs().front(number);
    if (!best || (next && next->before(best->rank)) || !limits_.open(number)) return;
    if (!may_carry(taker, best->row)) return;
    ledger_.give(*taker.place->session, best->row, step);
  }
}

bool Placement::place_one(std::uint32_t number, const Front& best, const std::optional<QueueRank>& next,
                          Step& step) {
  const Resources& needs = classes_.at(number).needs();
  const std::uint32_t tiny = worth_a_message(ledger_.jobs().mean_run_time(number));
  Taker* ahead = nullptr;
  Taker* reserved = nullptr;
  for (std::size_t i = 0; i < takers_.size(); ++i) {
    Taker& taker = takers_[(turn_ + i) % takers_.size()];
    Place& place = *taker.place;
    if (taker.closed || !place.fits(number)) continue;
    if (!place.session->may_hold_more()) {
      close(taker);
      continue;
    }
    const Resources free = place.free_for(number);
    const bool is_kept = taker.kept && taker.kept->fits(free);
    if (needs.fits(free) && !is_kept) {
      turn_ = (turn_ + i + 1) % takers_.size();
      ledger_.give(*place.session, best.row, step);
      // Others stay idle meanwhile, but for no longer than a message takes.
      if (!taker.gets_nothing_ahead) give_run(taker, number, next, tiny - 1, step);
      if (needs.slots > 1) release(number);
      close_if_full(taker);
      return true;
    }
    if (place.reserved && !is_kept && needs.fits(without(place.room, place.held())) &&
        outranks(number, place))
      reserved = &taker;
    // Ahead of need: to the one that holds the least for its size.
    if (taker.gets_nothing_ahead || room_ahead(taker, number) == 0 || !may_carry(taker, best.row)) continue;
    if (ahead == nullptr || std::uint64_t{place.held().slots} * ahead->place->room.slots <
                                std::uint64_t{ahead->place->held().slots} * place.room.slots) {
      ahead = &taker;
    }
  }
  if (ahead == nullptr && reserved != nullptr) {
    reserved->place->reserved.reset();  // the worse job looks for another
    ledger_.give(*reserved->place->session, best.row, step);
    close_if_full(*reserved);
    return true;
  }
  if (ahead == nullptr) return false;
  give_run(*ahead, number, next, std::max(tiny, kRunLeast), step);
  if (needs.slots > 1) release(number);
  return true;
}

// Its line comes soon, so the free slots that it needs are kept for it. A wide job that does not fit leaves
// them to others until its line is here.
void Placement::await_line(std::uint32_t number) {
  const Resources& needs = classes_.at(number).needs();
  for (Taker& taker : takers_) {
    if (taker.closed || !taker.place->fits(number)) continue;
    taker.gets_nothing_ahead = true;
    if (!taker.kept || needs.fits(*taker.kept)) taker.kept = needs;
    close_if_full(taker);
  }
}

// Workers that could run this job get no worse ones ahead of need. If it has reserved a worker, this holds
// only for that one.
void Placement::await_room(std::uint32_t number, Step& step) {
  const bool reserves = wants_reservation(number);
  if (!reserves) release(number);
  const Place* reserved = reserves ? reserve(number, step.now) : nullptr;
  for (Taker& taker : takers_) {
    if (taker.closed || !taker.place->fits(number)) continue;
    if (reserved != nullptr && reserved != taker.place) continue;
    taker.gets_nothing_ahead = true;
    close_if_full(taker);
  }
}

void Placement::close_if_full(Taker& taker) {
  if (taker.closed || !taker.gets_nothing_ahead) return;
  Resources free = without(taker.place->room, taker.place->held());
  if (taker.place->reserved) free.take(taker.place->reserved->needs);
  if (!free.none() && !(taker.kept && taker.kept->fits(free))) return;
  close(taker);
}

void Placement::close(Taker& taker) {
  taker.closed = true;
  --open_;
}

// Keeps prefetched jobs from getting stuck: one that has waited behind a long job is called back while
// another worker that fits has a free slot.
void Placement::rebalance(Step& step) {
  if (step.now < rebalanced_ + kRebalanceInterval) return;
  rebalanced_ = step.now;
  std::vector<Free> free;
  for (const auto& [id, place] : fleet_.places()) {
    if (!place.takes_work || place.alone() || !place.session->may_hold_more()) continue;
    Resources left = without(place.room, place.held());
    if (place.reserved) left.take(place.reserved->needs);
    if (!left.none()) free.push_back({&place, left});
  }
  if (free.empty()) return;
  for (const auto& [id, place] : fleet_.places()) {
    if (place.takes_work && !place.alone() && place.session->held.slots() > place.session->slots)
      recall_stuck(place, free, step);
  }
}

// From the end of what the session holds, since that starts last.
void Placement::recall_stuck(const Place& place, std::vector<Free>& free, Step& step) {
  Session& session = *place.session;
  const Duration limit = std::max(kStuckLeast, 5 * (kAheadBase + 2 * session.round_trip));
  std::uint32_t unstarted = session.held.slots() - session.slots;
  std::vector<HoldingRow> stuck;
  const Holdings& holdings = ledger_.holdings();
  for (HoldingRow row = holdings.last(session.held); row != kNoHolding; row = holdings.previous(row)) {
    const Holding& holding = holdings.at(row);
    if (holding.is<Doubtful>()) continue;
    if (holding.slots > unstarted) break;
    unstarted -= holding.slots;
    if (step.now - holding.since < limit) continue;
    const ActiveJob& job = ledger_.jobs().at(holding.job);
    const Resources needs{holding.slots};
    const auto taker = std::find_if(free.begin(), free.end(), [&](const Free& other) {
      return needs.fits(other.free) && other.place->fits(job.facts.requirement);
    });
    if (taker == free.end()) continue;
    taker->free.take(needs);
    stuck.push_back(row);
  }
  ledger_.recall(session, stuck, step);
}

}  // namespace workpool::dispatcher
