// SPDX-License-Identifier: MIT
// Which ready job goes to which worker. Jobs go by priority, then in their order, over all requirement
// classes; a class that no free worker fits never holds up another. Free slots are filled first, over the
// workers in turn, each with up to a millisecond of tiny jobs at once; then workers get jobs ahead of need,
// as many as the credit of the class allows, but none ahead of a better job that the same worker could run.
//
// A job that needs several slots, and finds no worker with as many free, reserves the worker if they will
// be free soonest: slots that are freed there are kept for it, and worse jobs go elsewhere, or into what it
// leaves over. Each class has one reservation at most, for its best job, and each worker one; a better job
// takes a worse one's.
//
// A worker that says it has very many slots is believed as far as it finishes jobs, and bytes on their way to
// a worker are bounded (Session::may_hold_more): one that takes everything and does nothing leaves the rest
// to others.
//
// A class whose limit is reached leaves the order until that is over (Limits), and holds up nobody.
//
// A job that has failed on a worker looks for another one by itself, besides its class (choosy.cpp), and so
// do jobs that must run alone and probes for workers on the bench. There are few of these.
//
// The cost follows what has changed: a pass looks at the classes with work and somebody for it, the best
// first, and stops once no worker can take any more.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <vector>

#include "dispatcher/core/class_heads.h"
#include "dispatcher/core/fleet.h"
#include "dispatcher/core/ledger.h"
#include "dispatcher/core/sessions.h"

namespace workpool::dispatcher {

// How many slots' worth of jobs of one requirement a worker may hold:
// slots + floor(slots x (20 ms + 2 x round trip) / mean run time), at most max(1,024, slots); slots alone
// while no run time is known; and never more than `share`, or its slots. The share is the larger of half of
// its part in what is left of the run, among the workers that fit some job which waits, and a millisecond of
// work for each of its slots.
std::uint32_t window_size(std::uint32_t slots, Duration round_trip, std::optional<Duration> mean,
                          std::uint64_t share);

class Placement {
 public:
  Placement(Ledger& ledger, RequirementClasses& classes, WorkerTable& workers, Sessions& sessions)
      : ledger_(ledger),
        classes_(classes),
        workers_(workers),
        sessions_(sessions),
        limits_(classes.limits()),
        fleet_(workers, classes) {}

  // Follows what has changed about sessions and classes; also while nothing may be handed out.
  void look(Time now);
  void hand_out(Step& step);

  // How much it has looked at, over all passes.
  struct Looked {
    std::uint64_t passes = 0;
    std::uint64_t classes = 0;
    std::uint64_t sessions = 0;
    std::uint64_t asked = 0;  // classes, whether they need more lines
  };
  const Looked& looked() const { return looked_; }
  const Fleet& fleet() const { return fleet_; }
  // What limits hold up, the one that holds up most jobs first. For people: looks at every class that waits.
  std::vector<HeldUp> held_up() const;
  // Their sum, and the one that holds up most. Counted now and then: each second, and less often with more
  // than 50,000 classes.
  std::uint64_t jobs_held_up() const { return jobs_held_up_; }
  const std::optional<HeldUp>& worst_held_up() const { return worst_held_up_; }

 private:
  // A worker in one pass.
  struct Taker {
    Place* place = nullptr;
    std::uint32_t held_before = 0;    // slots, when the pass began
    bool gets_nothing_ahead = false;  // a better job waits for it
    std::optional<Resources> kept{};  // free slots for a better job whose line is being read
    bool closed = false;              // gets nothing more
  };

  std::uint32_t window(const Place& place, std::uint32_t number) const;
  void look_at(std::uint32_t number);
  // The class has a job of this rank: it comes into the order, unless a limit holds it up. Returns whether it
  // did.
  bool enter(std::uint32_t number, const QueueRank& rank);
  void leave(std::uint32_t number);
  void count_held_up(Time now);
  // How many jobs wait, by gate.
  std::vector<std::uint64_t> waiting_at_gates() const;
  HeldUp held_up_at(Limits::Gate gate, std::uint64_t jobs) const;
  // The best class that waits at this gate, if that is open, comes into the order.
  void let_in(Limits::Gate gate);
  // The class has had its turn, or left: others that wait at its gates may come in.
  void let_in_behind(std::uint32_t number);
  void fetch(Step& step);
  // Whether limits let a job of the class start now; if not, the next pass looks again soon.
  bool may_start(std::uint32_t number, Time now);
  void place_alone(Step& step);
  Place* alone_place(const ActiveJob& job);
  void empty(Place* place, Step& step);

  void place_ready(Step& step);
  // Gives away jobs of the class as long as it has the best one. Returns false if its best job found no
  // worker.
  bool place_class(std::uint32_t number, Step& step);
  // Gives the worker up to `most` more jobs of the class ahead of need, while they are the best.
  void give_run(const Taker& taker, std::uint32_t number, const std::optional<QueueRank>& next,
                std::uint32_t most, Step& step);
  // Gives away `best`, the best ready job of the class, and if they are tiny or go ahead of need some more of
  // them that come before `next`, the best of all others. False if there is nobody for it.
  bool place_one(std::uint32_t number, const Front& best, const std::optional<QueueRank>& next, Step& step);
  // How many more jobs of the class the session may get ahead of need.
  std::uint32_t room_ahead(const Taker& taker, std::uint32_t number) const;
  // Whether the bytes on their way to it leave room for this job.
  bool may_carry(const Taker& taker, JobRow row) const;
  // The best job of the class waits: its line is being read, or nobody has room or credit for it.
  void await_line(std::uint32_t number);
  void await_room(std::uint32_t number, Step& step);
  void close_if_full(Taker& taker);
  void close(Taker& taker);

  // ---- jobs that wait for another worker than they failed on, and workers that are on the bench ----
  // Whether another worker than those it failed on is there for the job.
  bool has_another(const ActiveJob& job) const;
  // The same, or one that it would only rather not go to: better than one on which it cannot start.
  bool has_any_other(const ActiveJob& job) const;
  // Whether the job waits for another worker than this one.
  bool should_avoid(const ActiveJob& job, WorkerId worker) const;
  // Those that have nobody to wait for, or have waited for long enough, stop choosing.
  void review_choosy(Time now);
  // Gives those away that come before the best job of all others; or, after these, into what they have left.
  void place_choosy(bool leftovers, Step& step);
  bool place_choosy(const Front& front, const std::vector<Place*>& open, Step& step);
  std::vector<Place*> open_places(bool leftovers);
  void insist(const std::vector<Front>& waiting, Time now);
  void place_probes(Step& step);
  void look_again_by(Time time) { look_again_ = std::min(look_again_, time); }

  // ---- reservations ----
  bool wants_reservation(std::uint32_t number) const;
  Place* reserve(std::uint32_t number, Time now);
  Place* reserved_by(std::uint32_t number);
  void release(std::uint32_t number);
  // Whether the class may take what is reserved there: a better job's is not.
  bool outranks(std::uint32_t number, const Place& place) const;
  Duration until_free(const Place& place, const Resources& needs, Time now) const;

  struct Free {
    const Place* place = nullptr;
    Resources free;
  };
  void rebalance(Step& step);
  void recall_stuck(const Place& place, std::vector<Free>& free, Step& step);

  Ledger& ledger_;
  RequirementClasses& classes_;
  WorkerTable& workers_;
  Sessions& sessions_;
  Limits& limits_;
  Fleet fleet_;
  ClassHeads heads_;
  bool changed_ = true;                  // since the last pass
  std::vector<std::uint32_t> hungry_;    // classes whose lines are to be asked for, each once
  std::vector<std::uint8_t> is_hungry_;  // by class
  std::vector<Taker> takers_;            // of this pass
  std::size_t open_ = 0;                 // of these, not closed
  std::vector<std::uint32_t> waiting_;   // classes out of heads_ until the end of this pass
  std::size_t turn_ = 0;                 // whose turn it is, over passes
  std::optional<SessionId> emptying_;
  std::optional<SessionId> insisted_on_;  // a choosy job that needs several slots has waited for it
  std::uint64_t jobs_held_up_ = 0;
  std::optional<HeldUp> worst_held_up_;
  Time count_held_up_at_;
  Time look_again_ = Time::max();  // a pass is due then, even if nothing changes
  Time rebalanced_;
  Looked looked_;
};

}  // namespace workpool::dispatcher
