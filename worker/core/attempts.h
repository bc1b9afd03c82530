// SPDX-License-Identifier: MIT
// The table of attempts: every job that this worker has been given and has not finished, in one state each,
// and the slots that they use.
//
//   Queued ──> Started ──> Killing ──────> gone
//     │           │ └────────┬─> Lost ───> gone
//     │           └──────────┴─> Doubtful ─> gone
//     └──> returned
//
// Jobs start in the dispatcher's order. One is handed to the runner when as many slots are free as it needs;
// a wide one at the head waits for them and nothing passes it. Short jobs are handed over ahead of a free
// slot, handlers up to 4 ms of work per slot, commands of less than 50 ms up to 20 ms and at least one, so
// that no thread of the runner waits for the loop. No more run at a time even so: the pool has one thread per
// slot, and the runner counts its commands. So a Started attempt may still wait there: each slot that gets
// free takes the one that has waited longest. Pure; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "common/base/boxed.h"
#include "common/base/key_index.h"
#include "common/base/progress.h"
#include "common/base/ring.h"
#include "common/base/time.h"
#include "common/wire/messages.h"
#include "worker/core/facts.h"

namespace workpool::worker {

struct Attempt {
  struct Queued {};
  struct Started {};
  struct Killing {};
  // A command that a signal ended which may have been meant for the whole worker. Its slots are free again;
  // what it has to say waits until it is clear whether a stop follows.
  struct Doubtful {
    std::unique_ptr<Outcome> outcome;
    std::uint64_t bytes = 0;  // of the outcome
    Duration ran{0};
    Time until;
  };
  // Its result is out, but its thread has not come back: its slots stay in use.
  struct Lost {};
  using State = std::variant<Queued, Started, Killing, Doubtful, Lost>;

  std::uint64_t token = 0;  // 0 = the row is free
  JobOrder order;  // without `id` and `work` once it is handed over; its handle is 0 once its session
                   // is over
  State state;
  Time received;
  Time started;                // its slot was free and it was handed over; meaningless while it is Queued
  bool ahead = false;          // handed over ahead of a free slot, which it has not got yet
  bool foreign = false;        // of a run that is no longer ours: nothing is sent about it
  bool named = false;          // the dispatcher knows that it runs
  Boxed<Progress> progress{};  // that the dispatcher does not know yet

  // For how long it has run at `now`. REQUIRES: it is not Queued.
  Duration running_for(Time now) const { return ahead ? Duration{0} : now - started; }

  template <class S>
  bool is() const {
    return std::holds_alternative<S>(state);
  }
  // Makes the row free; the next job sets all other members.
  void free() {
    token = 0;
    order.id.clear();
    order.work.clear();
    state = Queued{};
    ahead = false;
    foreign = false;
    named = false;
    progress.reset();
  }
};

class Attempts {
 public:
  explicit Attempts(std::uint32_t slots);

  // Queues it. Ignores an attempt that is here already, which a correct dispatcher never sends.
  void queue(JobOrder&& order, Time now);
  // Adds the next one to hand over, if there is room for one; else returns false. An attempt of a job that is
  // being killed here waits until that is gone, others pass it.
  bool start_next(Time now, std::vector<StartAttempt>& starts);

  // Null if there is none. By reference, which may name several attempts of a job: rather one that waits or
  // runs than one that is being killed or that a lost slot holds.
  Attempt* find(std::uint64_t token);
  Attempt* find(const JobRef& ref);

  // REQUIRES of these: `attempt` is in this table and in a state from which the picture has an arrow. What
  // has waited longest for the slots that get free by it starts at `now`.
  void kill(Attempt& attempt);
  void doubt(Attempt& attempt, Outcome&& outcome, Duration ran, Time until, Time now);
  void lose(Attempt& attempt);
  // It is gone. `ran`: what to expect of others of its kind; nothing is learnt from 0.
  void end(Attempt& attempt, Time now, Duration ran = Duration{0});

  // Takes everything queued, in its order.
  std::vector<JobOrder> take_queued();
  // Drops what is queued; of the rest no handle is valid any more.
  void session_over();

  // Every attempt, in no particular order. `visit` may change its state but not end it.
  template <class Visit>
  void each(Visit&& visit) {
    for (Attempt& attempt : rows_) {
      if (attempt.token != 0) visit(attempt);
    }
  }
  // The one that became Doubtful first; null if none is.
  Attempt* first_doubtful();
  // When it is to be settled.
  std::optional<Time> next_doubt();

  std::size_t queued() const { return count<Attempt::Queued>(); }
  std::uint64_t queued_bytes() const { return queued_bytes_; }  // of their work
  // Handed over, and their results are still to come.
  std::size_t working() const { return count<Attempt::Started>() + count<Attempt::Killing>(); }
  std::size_t doubtful() const { return count<Attempt::Doubtful>(); }
  std::uint64_t doubtful_bytes() const { return doubtful_bytes_; }  // of their outcomes
  std::size_t lost() const { return count<Attempt::Lost>(); }
  // Nothing can go on any more: what is in use belongs to threads that do not come back, and that is every
  // slot, or more than the job at the head of the queue can do without.
  bool stuck() const;

 private:
  template <class S>
  std::size_t count() const {
    return counts_[Attempt::State(S{}).index()];
  }
  void set(Attempt& attempt, Attempt::State&& state);
  void free_slots(Attempt& attempt, Time now, Duration ran);
  void begin_ahead(std::uint32_t slots, Time now);
  Attempt* first_ahead();  // that has waited longest for a slot; null if none does
  void remove(Attempt& attempt);
  Attempt& take_row();
  void drop_stale();
  const Attempt* head() const;
  Attempt* next_in_order();
  bool follows_a_killed_one(const Attempt& attempt) const;
  std::uint32_t ahead(bool command) const;

  std::uint32_t slots_;
  std::uint32_t used_ =
      0;  // slots of Started, Killing and Lost; over slots_ only by what is handed over ahead
  std::uint32_t running_ = 0;     // attempts in these states
  std::uint32_t commands_ = 0;    // of these, the ones that are commands
  std::uint32_t lost_slots_ = 0;  // of Lost
  std::uint64_t queued_bytes_ = 0;
  std::uint64_t doubtful_bytes_ = 0;
  std::array<std::size_t, std::variant_size_v<Attempt::State>> counts_{};
  Duration handler_mean_{0};  // 0 = not known
  Duration command_mean_{0};
  std::vector<Attempt> rows_;
  std::vector<std::uint32_t> free_rows_;
  KeyIndex index_;
  std::uint32_t generation_ = 0;
  // Tokens, in order; one that names nothing any more, or is in another state, is passed over.
  Ring<std::uint64_t> queue_;
  Ring<std::uint64_t> ahead_;
  Ring<std::uint64_t> doubts_;
  std::vector<std::uint64_t> behind_killed_;  // taken off the queue: their jobs are being killed here
};

}  // namespace workpool::worker
