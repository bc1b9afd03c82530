// SPDX-License-Identifier: MIT
// The part of placement for jobs that wait for another worker than those they failed on, and for probes of
// workers on the bench.
#include <algorithm>
#include <utility>

#include "dispatcher/core/placement.h"

namespace workpool::dispatcher {
namespace {

// So many are looked at, the best ones. They go on, so the others come into view.
constexpr std::ptrdiff_t kLookedAtMost = 256;
// A job that is only to go elsewhere if it can waits for that so long.
constexpr Duration kChoosesFor = seconds(5);
// A job that needs several slots, which never happen to be free at once, has one worker emptied for it then.
constexpr Duration kInsistsAfter = seconds(5);
constexpr Duration kProbeInterval = seconds(60);

}  // namespace

bool Placement::has_another(const ActiveJob& job) const {
  return std::any_of(fleet_.places().begin(), fleet_.places().end(), [&](const auto& entry) {
    const Place& place = entry.second;
    return place.fits(job.facts.requirement) && workers_.is_present(*place.session) &&
           !job.trouble().avoids(place.session->worker);
  });
}

bool Placement::should_avoid(const ActiveJob& job, WorkerId worker) const {
  const Trouble& trouble = job.trouble();
  if (std::find(trouble.not_on.begin(), trouble.not_on.end(), worker) != trouble.not_on.end()) return true;
  return trouble.avoids(worker) && has_another(job);
}

bool Placement::has_any_other(const ActiveJob& job) const {
  return has_another(job) ||
         workers_.any_other(ledger_.jobs().requirement(job.facts.requirement), job.trouble().not_on);
}

void Placement::review_choosy(Time now) {
  std::vector<JobRow> content;
  auto left = kLookedAtMost;
  for (const Front& front : ledger_.jobs().choosy()) {
    if (left-- == 0) break;
    const ActiveJob& job = ledger_.jobs().at(front.row);
    const bool must = !job.trouble().not_on.empty();
    const Time limit = job.ready_since + (must ? kInsistsAfter : kChoosesFor);
    const bool has_other = must ? has_any_other(job) : has_another(job);
    if (must && !has_other && now < ledger_.others_may_come_until()) continue;
    if (!has_other || (!must && now >= limit)) {
      content.push_back(front.row);
    } else if (limit > now) {
      look_again_by(limit);
    }
  }
  for (const JobRow row : content) ledger_.stop_choosing(row);
}

// Who may get such jobs, but for those with slots that are kept for a better job whose line is being read.
std::vector<Place*> Placement::open_places(bool leftovers) {
  std::vector<Place*> found;
  for (const auto& entry : fleet_.places()) {
    const SessionId id = entry.first;
    const Place& known = entry.second;
    const bool reserved = insisted_on_ == id ? known.held_alone() : known.alone();
    if (!known.takes_work || reserved || !known.session->may_hold_more()) continue;
    const Resources free = without(known.room, known.held());
    const bool is_kept = leftovers && std::any_of(takers_.begin(), takers_.end(), [&](const Taker& taker) {
                           return taker.place == &known && taker.kept && taker.kept->fits(free);
                         });
    if (!is_kept) found.push_back(fleet_.find(id));
  }
  return found;
}

void Placement::place_choosy(bool leftovers, Step& step) {
  const auto& waiting = ledger_.jobs().choosy();
  if (waiting.empty()) return insisted_on_.reset();
  const std::vector<Place*> open = open_places(leftovers);
  const auto end = std::next(waiting.begin(), std::min(std::ssize(waiting), kLookedAtMost));
  std::vector<Front> left;
  for (const Front& front : std::vector<Front>(waiting.begin(), end)) {
    if (!leftovers && !heads_.empty() && heads_.best().rank.before(front.rank)) break;
    if (!may_start(ledger_.jobs().at(front.row).facts.requirement, step.now)) continue;
    if (!place_choosy(front, open, step)) left.push_back(front);
  }
  if (leftovers) insist(left, step.now);
}

// Slots that are freed one by one go to others. So the worker for the best job that needs several of them,
// and has waited for long, gets nothing else.
void Placement::insist(const std::vector<Front>& waiting, Time now) {
  insisted_on_.reset();
  for (const Front& front : waiting) {
    const ActiveJob& job = ledger_.jobs().at(front.row);
    if (job.facts.slots == 1 || now < job.ready_since + kInsistsAfter) continue;
    for (const auto& [id, place] : fleet_.places()) {
      const bool could = place.takes_work && place.fits(job.facts.requirement) && !place.held_alone();
      if (could && !should_avoid(job, place.session->worker)) insisted_on_ = id;
    }
    if (insisted_on_) return;
  }
}

// To one that can start it now, or else to one that gets such jobs ahead of need: its slots may never be
// free.
bool Placement::place_choosy(const Front& front, const std::vector<Place*>& open, Step& step) {
  const ActiveJob& job = ledger_.jobs().at(front.row);
  const std::uint32_t number = job.facts.requirement;
  const Resources& needs = classes_.at(number).needs();
  Place* chosen = nullptr;
  for (std::size_t i = 0; i < open.size(); ++i) {
    Place& place = *open[(turn_ + i) % open.size()];
    if (!place.fits(number) || should_avoid(job, place.session->worker)) continue;
    if (!place.session->may_hold_more()) continue;
    const bool is_free = needs.fits(place.free_for(number));
    const bool ahead = !place.reserved && place.held().slots + needs.slots <= window(place, number);
    if (is_free || (ahead && chosen == nullptr)) chosen = &place;
    if (is_free) break;
  }
  if (chosen == nullptr) return false;
  ledger_.give(*chosen->session, front.row, step);
  return true;
}

// A job like those that failed there, at most one at a time.
void Placement::place_probes(Step& step) {
  for (const auto& [id, place] : fleet_.places()) {
    Session& session = *place.session;
    const Benched* benched = workers_.benched(session);
    if (benched == nullptr || !sessions_.may_be_probed(session, step.now)) continue;
    if (step.now < benched->probe_at) {
      look_again_by(benched->probe_at);
      continue;
    }
    const std::uint32_t number = benched->requirement;
    if (!classes_.used(number) || classes_.at(number).serial() != benched->serial) continue;
    const auto front = ledger_.jobs().front(number);
    if (!front || !may_start(number, step.now)) continue;
    workers_.probe(session, ledger_.jobs().handle(front->row), step.now + kProbeInterval);
    ledger_.give(session, front->row, step);
  }
}

}  // namespace workpool::dispatcher
