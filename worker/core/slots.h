// SPDX-License-Identifier: MIT
// The worker's jobs: a queue in the dispatcher's order, and what has been handed to the runner. A job is
// handed over when as many slots are free as it needs; a wide one at the head waits for them and nothing
// passes it. Short jobs are handed over ahead of a free slot, of handlers up to a millisecond of work a slot,
// of commands one a slot, so that no thread of the runner waits for the loop; no more run at a time all the
// same, since the pool has one thread a slot and the spawners count their commands.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/base/ring.h"
#include "common/base/time.h"
#include "common/wire/messages.h"

namespace workpool::worker {

struct Running {
  std::uint64_t token = 0;  // 0 = the place is free
  JobOrder order;           // without `work`; its handle is 0 once its session is over
  bool handler = false;
  Time received;
  Time started;
  bool reported = false;  // its result is out, its slot is not back (a handler that does not return)
  bool killed = false;
  bool foreign = false;  // of a run that is no longer ours: nothing is sent about it
};

class Slots {
 public:
  explicit Slots(std::uint32_t count);

  void queue(JobOrder&& order, Time now);
  // The next job to hand over, where there is room; `token` names it from now on. Its work is moved out.
  std::optional<JobOrder> start_next(Time now, std::uint64_t& token);
  Running* find(std::uint64_t token);
  Running* find(const JobRef& ref);
  // It has ended; its slots are free again. `ran`: what to expect of handlers like it; nothing to learn where
  // 0.
  void ended(std::uint64_t token, Duration ran);

  // Its result is out, its thread has not come back: its slots stay in use.
  void lose(std::uint64_t token);

  // Takes all, or the named one, of what has not been handed over out of the queue.
  std::vector<JobOrder> take_queued();
  std::optional<JobOrder> take_queued(const JobRef& ref);

  // Places in use have a token. In no particular order.
  std::vector<Running>& places() { return places_; }
  const std::vector<Running>& places() const { return places_; }
  std::size_t running() const { return running_; }
  // Of these, the ones whose result is still to come.
  std::size_t working() const;
  std::size_t queued() const { return queue_.size(); }
  // Nothing can go on any more: what is in use belongs to handlers that have been reported and do not return,
  // and that is every slot, or more than the job at the head of the queue can do without.
  bool stuck() const;

 private:
  struct Queued {
    JobOrder order;
    Time received;
  };
  std::uint32_t ahead(bool handler) const;

  std::uint32_t count_;
  std::uint32_t used_ = 0;      // slots of everything handed over; over count_ only by handlers ahead
  std::uint32_t commands_ = 0;  // jobs handed over that are no handlers
  std::uint32_t running_ = 0;
  std::uint32_t lost_ = 0;    // slots of handlers that have been reported and have not returned
  Duration handler_mean_{0};  // 0 = not known
  Duration command_mean_{0};
  Ring<Queued> queue_;
  std::vector<Running> places_;
  std::vector<std::uint32_t> free_places_;
  std::uint32_t generation_ = 0;
};

}  // namespace workpool::worker
