// SPDX-License-Identifier: MIT
// The part of placement that keeps a worker for a job that needs several slots.
#include <algorithm>
#include <utility>

#include "dispatcher/core/placement.h"

namespace workpool::dispatcher {
namespace {

// A reservation is thought over after this: run times are guesses until the jobs have ended.
constexpr Duration kReservationLeast = seconds(1);

}  // namespace

// Jobs of one slot take the next one that is free, and short ones that may go ahead of need wait at the
// worker, which keeps their order.
bool Placement::wants_reservation(std::uint32_t number) const {
  const Resources& needs = classes_.at(number).needs();
  if (needs.slots <= 1) return false;
  return std::none_of(takers_.begin(), takers_.end(), [&](const Taker& taker) {
    const Place& place = *taker.place;
    return place.fits(number) && window(place, number) >= place.room.slots + needs.slots;
  });
}

Place* Placement::reserved_by(std::uint32_t number) {
  for (const auto& [id, place] : fleet_.places()) {
    if (place.reserved && place.reserved->number == number) return fleet_.find(id);
  }
  return nullptr;
}

void Placement::release(std::uint32_t number) {
  if (classes_.at(number).needs().slots <= 1) return;
  if (Place* place = reserved_by(number)) place->reserved.reset();
}

bool Placement::outranks(std::uint32_t number, const Place& place) const {
  const auto rank = ledger_.jobs().head_rank(number);
  const auto other = ledger_.jobs().head_rank(place.reserved->number);
  return rank && (!other || rank->before(*other));
}

// How long until as much is free there, by what is known of the jobs that it runs: one that has run for
// longer than its like is expected to take as long again.
Duration Placement::until_free(const Place& place, const Resources& needs, Time now) const {
  std::vector<std::pair<Duration, std::uint32_t>>
      ends;  // of what runs there: how long it still takes, its slots
  const Session& session = *place.session;
  const Holdings& holdings = ledger_.holdings();
  const Holdings::Running running = holdings.running(session.held, session.slots);
  for (HoldingRow row = holdings.first(session.held); row != running.next; row = holdings.next(row)) {
    const Holding& holding = holdings.at(row);
    if (holding.is<Doubtful>()) continue;
    const std::uint32_t number = ledger_.jobs().at(holding.job).facts.requirement;
    const Duration ran = std::max(Duration{0}, now - holding.since);
    const Duration mean = ledger_.jobs().mean_run_time(number).value_or(Duration{0});
    ends.emplace_back(ran < mean ? mean - ran : ran, holding.slots);
  }
  std::sort(ends.begin(), ends.end());
  std::uint32_t free = session.slots - running.slots;
  for (const auto& [left, slots] : ends) {
    if (free >= needs.slots) break;
    free += slots;
    if (free >= needs.slots) return left;
  }
  return Duration{0};
}

// The worker for the best job of this class: the one it has, unless another will be free in half the time.
Place* Placement::reserve(std::uint32_t number, Time now) {
  const Resources& needs = classes_.at(number).needs();
  Place* has = reserved_by(number);
  if (has != nullptr && has->alone()) {
    has->reserved.reset();
    has = nullptr;
  }
  if (has != nullptr && now < has->reserved->chosen + kReservationLeast) return has;
  Place* best = has;
  Duration soonest = has == nullptr ? Duration::max() : until_free(*has, needs, now) / 2;
  for (Place* place : fleet_.with_work()) {
    if (place == has || place->alone() || !place->fits(number)) continue;
    if (place->reserved && !outranks(number, *place)) continue;
    const Duration until = until_free(*place, needs, now);
    if (until >= soonest) continue;
    best = place;
    soonest = until;
  }
  if (best == nullptr) return nullptr;
  if (has != nullptr) has->reserved.reset();
  best->reserved = Place::Reservation{number, needs, now};
  return best;
}

}  // namespace workpool::dispatcher
