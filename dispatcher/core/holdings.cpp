// SPDX-License-Identifier: MIT
#include "dispatcher/core/holdings.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace workpool::dispatcher {

// ---- the lists ----

void Holdings::link(HoldingRow row) {
  Holding& holding = rows_[row];
  Holder& holder = *holding.holder;
  holding.previous_ = holder.last_;
  holding.next_ = kNoHolding;
  (holder.last_ == kNoHolding ? holder.first_ : rows_[holder.last_].next_) = row;
  holder.last_ = row;
  ++holder.jobs_;
  holder.slots_ += holding.slots;
  holder.bytes_ += holding.bytes;
  if (holding.limited != kUnlimited)
    holding.start_known ? limits_.adopt(holding.limited) : limits_.give(holding.limited);
  ++live_;
}

void Holdings::unlink(HoldingRow row) {
  Holding& holding = rows_[row];
  Holder& holder = *holding.holder;
  CHECK(holder.jobs_ > 0);
  if (holding.limited != kUnlimited) {
    note_started(row, Time::max());
    limits_.release(holding.limited);
  }
  (holding.previous_ == kNoHolding ? holder.first_ : rows_[holding.previous_].next_) = holding.next_;
  (holding.next_ == kNoHolding ? holder.last_ : rows_[holding.next_].previous_) = holding.previous_;
  --holder.jobs_;
  holding.is<Doubtful>() ? --holder.doubtful_ : holder.slots_ -= holding.slots;
  holder.bytes_ -= holding.bytes;
  if (holder.jobs_ == 0) holder.alone_ = false;
  holding.holder = nullptr;
  --live_;
}

HoldingRow Holdings::add(Holder& to, const New& given, const HoldingPhase& phase) {
  const bool runs = std::holds_alternative<Confirmed>(phase);
  if (of_job_.size() <= given.job) of_job_.resize(given.job + 1, kNoHolding);
  if (of_job_[given.job] != kNoHolding) {
    CHECK(find(given.job, to) == kNoHolding);
    // What the worker had of it before is over: what it says from now on is about this one.
    if (const HoldingRow before = find(given.job, to.worker()); before != kNoHolding && !rows_[before].live())
      end(before);
  }
  HoldingRow row = first_free_;
  if (row == kNoHolding) {
    row = static_cast<HoldingRow>(rows_.size());
    CHECK(row != kNoHolding);
    rows_.emplace_back();
  } else {
    first_free_ = rows_[row].next_;
  }
  Holding& holding = rows_[row];
  holding.handle = given.handle;
  holding.since = given.since;
  holding.begun.reset();
  holding.queued = given.queued;
  holding.bytes = given.bytes;
  holding.phase = phase;
  holding.holder = &to;
  holding.job = given.job;
  holding.attempt = given.attempt;
  holding.slots = given.slots;
  holding.limited = given.limited;
  holding.start_known = runs;
  holding.progress.reset();
  holding.next_of_job_ = std::exchange(of_job_[given.job], row);
  link(row);
  if (given.alone) to.alone_ = true;
  return row;
}

void Holdings::free(HoldingRow row) {
  Holding& holding = rows_[row];
  HoldingRow* place = &of_job_[holding.job];
  while (*place != row) place = &rows_[*place].next_of_job_;
  *place = holding.next_of_job_;
  holding.next_ = std::exchange(first_free_, row);
}

// ---- verbs ----

HoldingRow Holdings::give(Holder& to, const New& given) { return add(to, given, Sent{}); }

HoldingRow Holdings::adopt(Holder& to, const New& named, Time begun) {
  const HoldingRow row = add(to, named, Confirmed{});
  rows_[row].handle = Handle{};
  rows_[row].begun = begun;
  return row;
}

void Holdings::confirm(HoldingRow row, std::uint32_t attempt, Time since, Time begun) {
  Holding& holding = rows_[row];
  CHECK(holding.live() && !holding.is<Doubtful>());
  holding.phase = Confirmed{};
  holding.handle = Handle{};
  holding.attempt = attempt;
  holding.since = since;
  holding.begun = begun;
  note_started(row, begun);
}

void Holdings::note_started(HoldingRow row, Time at) {
  Holding& holding = rows_[row];
  if (holding.limited == kUnlimited || std::exchange(holding.start_known, true)) return;
  limits_.started(holding.limited, at);
}

void Holdings::note_unstarted(HoldingRow row) {
  Holding& holding = rows_[row];
  if (holding.limited == kUnlimited || std::exchange(holding.start_known, true)) return;
  limits_.unstarted(holding.limited);
}

bool Holdings::note_begun(HoldingRow row, Time begun) {
  Holding& holding = rows_[row];
  CHECK(holding.live());
  if (holding.begun) return false;
  holding.begun = std::max(begun, holding.since);
  note_started(row, *holding.begun);
  return true;
}

void Holdings::note_progress(HoldingRow row, Progress&& progress) {
  rows_[row].progress.emplace() = std::move(progress);
}

bool Holdings::recall(HoldingRow row, Time now) {
  Holding& holding = rows_[row];
  if (!holding.is<Sent>()) return false;
  holding.phase = Recalled{now};
  return true;
}

bool Holdings::note_ended(HoldingRow row, Time now) {
  Holding& holding = rows_[row];
  if (!holding.is<Sent>() && !holding.is<Recalled>()) return false;
  Holder& holder = *holding.holder;
  if (holder.doubtful_ >= kDoubtfulMost) return false;
  holding.phase = Doubtful{now, false};
  ++holder.doubtful_;
  holder.slots_ -= holding.slots;
  return true;
}

bool Holdings::cancel(HoldingRow row) {
  Holding& holding = rows_[row];
  if (auto* ended = std::get_if<Doubtful>(&holding.phase)) return !std::exchange(ended->cancelled, true);
  if (!holding.is<Sent>() && !holding.is<Confirmed>() && !holding.is<Recalled>()) return false;
  holding.phase = Cancelled{};
  return true;
}

void Holdings::inherit(Holder& from, Holder& to) {
  CHECK(to.jobs_ == 0 && from.worker_ == to.worker_);
  to.first_ = std::exchange(from.first_, kNoHolding);
  to.last_ = std::exchange(from.last_, kNoHolding);
  to.jobs_ = std::exchange(from.jobs_, 0);
  to.slots_ = std::exchange(from.slots_, 0);
  from.doubtful_ = 0;
  to.bytes_ = std::exchange(from.bytes_, 0);
  to.alone_ = std::exchange(from.alone_, false);
  for (HoldingRow row = to.first_; row != kNoHolding; row = rows_[row].next_) {
    rows_[row].holder = &to;
    rows_[row].handle = Handle{};
    if (rows_[row].is<Doubtful>()) to.slots_ += rows_[row].slots;
    rows_[row].phase = Inherited{};
  }
}

void Holdings::give_up(HoldingRow row, bool for_good) {
  CHECK(rows_[row].live());
  const WorkerId worker = rows_[row].holder->worker();
  unlink(row);
  rows_[row].phase = GivenUp{worker, for_good};
  forget_oldest(rows_[row].job);
}

void Holdings::forget_oldest(JobRow job) {
  std::size_t given_up = 0;
  HoldingRow oldest = kNoHolding;
  for (HoldingRow row = of_job_[job]; row != kNoHolding; row = rows_[row].next_of_job_) {
    if (rows_[row].live()) continue;
    ++given_up;
    oldest = row;
  }
  if (given_up > kGivenUpMost) free(oldest);
}

void Holdings::end(HoldingRow row) {
  if (rows_[row].live()) unlink(row);
  free(row);
}

void Holdings::end_all(JobRow job) {
  while (first_of(job) != kNoHolding) end(first_of(job));
}

// ---- views ----

Holdings::Running Holdings::running(const Holder& holder, std::uint32_t slots) const {
  Running running;
  for (running.next = holder.first_; running.next != kNoHolding; running.next = rows_[running.next].next_) {
    const Holding& holding = rows_[running.next];
    if (holding.is<Doubtful>()) continue;
    if (holding.slots > slots - running.slots) break;
    ++running.jobs;
    running.slots += holding.slots;
  }
  return running;
}

HoldingRow Holdings::find(JobRow job, WorkerId worker) const {
  for (HoldingRow row = first_of(job); row != kNoHolding; row = rows_[row].next_of_job_) {
    const Holding& holding = rows_[row];
    if (holding.live() ? holding.holder->worker() == worker
                       : std::get<GivenUp>(holding.phase).worker == worker)
      return row;
  }
  return kNoHolding;
}

}  // namespace workpool::dispatcher
