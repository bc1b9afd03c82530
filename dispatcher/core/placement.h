// SPDX-License-Identifier: MIT
// Which ready job goes to which worker (architecture.md §4). Jobs by priority, then order of submission, over
// all requirements; a requirement that no free worker meets never holds up another. Free slots are filled
// first, over the workers in turn; then workers get jobs ahead of need, as many as the credit of the
// requirement allows, but none ahead of a better job that the same worker could run.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

#include "dispatcher/core/ledger.h"
#include "dispatcher/core/sessions.h"

namespace workpool::dispatcher {

// How many slots' worth of jobs of one requirement a worker may hold:
// slots + floor(slots x (20 ms + 2 x round trip) / mean run time), at most max(1,024, slots); slots alone
// while no run time is known; and never more than `share`, half its share of what is left of the run, or its
// slots.
std::uint32_t window_size(std::uint32_t slots, Duration round_trip, std::optional<Duration> mean,
                          std::uint64_t share);

class Placement {
 public:
  Placement(Ledger& ledger, WorkerTable& workers, Sessions& sessions)
      : ledger_(ledger), workers_(workers), sessions_(sessions) {}

  void hand_out(Step& step);

 private:
  std::uint32_t window(const Session& session, std::uint32_t requirement) const;
  void fetch(Step& step);
  void place_alone(Step& step);
  Session* alone_place(const ActiveJob& job, Time now);
  void place_ready(Step& step);
  // Gives away the best ready job of this requirement, and where it goes ahead of need some more of them that
  // come before `next`, the best of all others. False where there is nobody for it.
  bool place_one(std::uint32_t requirement, const QueueRank* next, Step& step);
  bool must_wait(Session& session, const QueueRank& rank, bool has_free_slots) const;
  bool may_prefetch(const Session& session, std::uint32_t requirement);
  struct Free {
    Session* session = nullptr;
    std::uint32_t slots = 0;
  };
  void rebalance(Step& step);
  void recall_stuck(Session& session, std::vector<Free>& free, Step& step);

  // A requirement whose best job comes before those that are placed now, but not yet.
  struct Awaited {
    std::uint32_t requirement = 0;
    QueueRank rank;
    bool unread = false;  // its line is to be read; else no session has credit for it
  };

  void await(const Awaited& awaited);

  Ledger& ledger_;
  WorkerTable& workers_;
  Sessions& sessions_;
  std::vector<Awaited> awaited_;  // of this pass, the best first
  std::vector<Session*> open_;    // that may get work; made anew for each pass
  std::uint32_t open_slots_ = 0;
  std::size_t turn_ = 0;  // whose turn it is, over passes
  Time rebalanced_;
};

}  // namespace workpool::dispatcher
