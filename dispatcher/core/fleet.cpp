// SPDX-License-Identifier: MIT
#include "dispatcher/core/fleet.h"

#include <algorithm>

namespace workpool::dispatcher {

Place* Fleet::find(SessionId id) {
  const auto found = places_.find(id);
  return found == places_.end() ? nullptr : &found->second;
}

// Whether it belongs into with_work_ may have changed.
void Fleet::list(Place& place) {
  const bool belongs = place.takes_work && place.work_ > 0;
  if (belongs == place.listed_) return;
  place.listed_ = belongs;
  belongs ? room_.give(place.believed()) : room_.take(place.believed());
  const auto at = std::lower_bound(with_work_.begin(), with_work_.end(), place.id,
                                   [](const Place* listed, SessionId id) { return listed->id < id; });
  belongs ? static_cast<void>(with_work_.insert(at, &place)) : static_cast<void>(with_work_.erase(at));
}

void Fleet::has_work(std::uint32_t number, bool work) {
  if (work_.size() <= number) work_.resize(number + 1, 0);
  if ((work_[number] != 0) == work) return;
  work_[number] = work ? 1 : 0;
  for (auto& [id, place] : places_) {
    if (!place.fits(number)) continue;
    work ? ++place.work_ : --place.work_;
    list(place);
  }
}

void Fleet::forget(std::uint32_t number) {
  for (auto& [id, place] : places_) {
    if (place.fits(number)) place.fits_[number] = 0;
  }
}

bool Fleet::meet_new_classes() {
  const std::vector<std::uint32_t> fresh = classes_.take_new();
  if (fresh.empty()) return false;
  work_.resize(std::max<std::size_t>(work_.size(), classes_.size()), 0);
  for (auto& [id, place] : places_) {
    place.fits_.resize(classes_.size(), 0);
    for (const std::uint32_t number : fresh) {
      const bool fits = workers_.meets(*place.session, classes_.at(number).requirement());
      place.fits_[number] = fits ? 1 : 0;
      if (!fits) continue;
      classes_.registers(number, true);
      if (place.takes_work) classes_.takes_work(number, true);
    }
  }
  return true;
}

// A session that offers the same as another fits the same classes, and there are few kinds of workers.
Place& Fleet::add(Session& session) {
  const auto same = std::find_if(places_.begin(), places_.end(), [&](const auto& other) {
    return workers_.offers_the_same(*other.second.session, session);
  });
  std::vector<std::uint8_t> fits;
  if (same != places_.end()) {
    fits = same->second.fits_;
  } else {
    fits.resize(classes_.size(), 0);
    for (std::uint32_t number = 0; number < classes_.size(); ++number) {
      const bool used = classes_.used(number);
      fits[number] = used && workers_.meets(session, classes_.at(number).requirement()) ? 1 : 0;
    }
  }
  Place& place = places_[session.id];
  place.id = session.id;
  place.session = &session;
  place.room = {session.slots};
  place.fits_ = std::move(fits);
  for (std::uint32_t number = 0; number < classes_.size(); ++number) {
    if (!classes_.used(number) || !place.fits(number)) continue;
    classes_.registers(number, true);
    place.work_ += work_[number];
  }
  return place;
}

void Fleet::start_or_stop(Place& place, bool takes_work) {
  if (place.takes_work == takes_work) return;
  place.takes_work = takes_work;
  if (!takes_work) place.reserved.reset();
  for (std::uint32_t number = 0; number < classes_.size(); ++number) {
    if (classes_.used(number) && place.fits(number)) classes_.takes_work(number, takes_work);
  }
  list(place);
}

void Fleet::set(Session& session, bool takes_work) {
  Place* known = find(session.id);
  start_or_stop(known != nullptr ? *known : add(session), takes_work);
}

void Fleet::remove(SessionId id) {
  Place* place = find(id);
  if (place == nullptr) return;  // it came and went between two looks
  start_or_stop(*place, false);
  for (std::uint32_t number = 0; number < classes_.size(); ++number) {
    if (classes_.used(number) && place->fits(number)) classes_.registers(number, false);
  }
  places_.erase(id);
}

}  // namespace workpool::dispatcher
