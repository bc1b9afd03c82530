// SPDX-License-Identifier: MIT
// The sessions as placement sees them: which of them take work, and which requirement classes each of them
// fits. It follows what has changed since the last look: sessions that were touched (WorkerTable::touch), and
// classes that are new.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "dispatcher/core/requirement_class.h"
#include "dispatcher/core/resources.h"
#include "dispatcher/core/worker_table.h"

namespace workpool::dispatcher {

// One session that is registered.
struct Place {
  SessionId id;
  Session* session = nullptr;
  Resources room;  // all that it has
  bool takes_work = false;

  // A job that needs several slots waits for this session: its freed slots are kept for the best job of the
  // class.
  struct Reservation {
    std::uint32_t number = 0;  // of the class
    Resources needs;
    Time chosen;
  };
  std::optional<Reservation> reserved;

  Resources held() const { return {session->held.slots()}; }
  // What can start now, without what is kept for another class.
  Resources free_for(std::uint32_t number) const {
    const Resources free = without(room, held());
    return reserved && reserved->number != number ? without(free, reserved->needs) : free;
  }
  // Its part in what all workers share.
  Resources believed() const { return {std::min(room.slots, kBelievedMost)}; }
  // Whether it is kept for one job that must run alone, or runs it.
  bool alone() const { return session->emptying || held_alone(); }
  bool held_alone() const { return session->held.alone(); }
  bool fits(std::uint32_t number) const { return number < fits_.size() && fits_[number] != 0; }

 private:
  friend class Fleet;
  std::vector<std::uint8_t> fits_;  // by class
  std::uint32_t work_ = 0;          // classes with work that it fits
  bool listed_ = false;
};

class Fleet {
 public:
  Fleet(WorkerTable& workers, RequirementClasses& classes) : workers_(workers), classes_(classes) {}

  // Brings the fleet up to date. `takes_work` decides about a session. Returns whether anything has changed.
  template <class TakesWork>
  bool update(const TakesWork& takes_work) {
    const std::vector<SessionId> touched = workers_.take_touched();
    for (const SessionId id : touched) {
      if (workers_.find(id) == nullptr) remove(id);
    }
    const bool classes_changed = meet_new_classes();
    for (const SessionId id : touched) {
      if (Session* session = workers_.find(id)) set(*session, takes_work(*session));
    }
    return classes_changed || !touched.empty();
  }

  // The class has work that waits for a worker, or no longer has any.
  void has_work(std::uint32_t number, bool work);
  // The class is freed, and its number may soon be that of another. REQUIRES: it has no work.
  void forget(std::uint32_t number);

  // The sessions that take work of which some waits, and those that take any; in the order of their ids.
  const std::vector<Place*>& with_work() const { return with_work_; }
  const std::map<SessionId, Place>& places() const { return places_; }
  Place* find(SessionId id);
  // The sum of believed() over with_work(): a worker that fits nothing that waits does not count.
  const Resources& room() const { return room_; }

 private:
  bool meet_new_classes();
  void set(Session& session, bool takes_work);
  void remove(SessionId id);
  Place& add(Session& session);
  void list(Place& place);
  void start_or_stop(Place& place, bool takes_work);

  WorkerTable& workers_;
  RequirementClasses& classes_;
  std::map<SessionId, Place> places_;
  std::vector<Place*> with_work_;
  std::vector<std::uint8_t> work_;  // by class: whether it has some
  Resources room_;
};

}  // namespace workpool::dispatcher
