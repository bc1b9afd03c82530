// SPDX-License-Identifier: MIT
#include "worker/core/attempts.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace workpool::worker {
namespace {

constexpr Duration kAheadWork = milliseconds(4);
// More of commands, because their endings wait for each other (EndingBatch::kWait), and the next ones have to
// run meanwhile. Of longer commands none: starting one from here costs too little of them to be seen.
constexpr Duration kAheadCommands = milliseconds(20);
constexpr Duration kShortCommand = milliseconds(50);
constexpr std::int64_t kAheadMost = 1024;     // jobs per slot
constexpr std::size_t kStartsExpected = 256;  // at once
constexpr std::size_t kStaleMost = 1024;      // tokens in the queue that name nothing any more

bool named(const JobOrder& order, const JobRef& ref) {
  if (ref.handle.value != 0) return order.handle == ref.handle && order.key == ref.key;
  return order.key == ref.key && order.attempt == ref.attempt;
}

bool is_command(const Attempt& attempt) { return attempt.order.kind == JobKind::kCommand; }

std::uint32_t row_of(std::uint64_t token) { return static_cast<std::uint32_t>(token); }

}  // namespace

Attempts::Attempts(std::uint32_t slots) : slots_(slots) {}

void Attempts::set(Attempt& attempt, Attempt::State&& state) {
  --counts_[attempt.state.index()];
  attempt.state = std::move(state);
  ++counts_[attempt.state.index()];
}

Attempt& Attempts::take_row() {
  if (free_rows_.empty()) {
    free_rows_.push_back(static_cast<std::uint32_t>(rows_.size()));
    rows_.emplace_back();
  }
  const std::uint32_t row = free_rows_.back();
  free_rows_.pop_back();
  if (++generation_ == 0) generation_ = 1;
  rows_[row].token = std::uint64_t{generation_} << 32 | row;
  return rows_[row];
}

void Attempts::queue(JobOrder&& order, Time now) {
  bool known = false;
  index_.any(order.key, [&](std::uint32_t row) {
    const Attempt& other = rows_[row];
    known = other.order.key == order.key && other.order.attempt == order.attempt && !other.foreign &&
            !other.is<Attempt::Killing>() && !other.is<Attempt::Lost>();
    return known;
  });
  if (known) return;
  Attempt& attempt = take_row();
  attempt.order = std::move(order);
  attempt.received = now;
  ++counts_[attempt.state.index()];
  queued_bytes_ += attempt.order.work.size();
  index_.add(attempt.order.key, row_of(attempt.token));
  if (queue_.size() > kStaleMost + 2 * queued()) drop_stale();
  queue_.push_back(std::uint64_t{attempt.token});
}

// Those of what was called back while another held up the head.
void Attempts::drop_stale() {
  Ring<std::uint64_t> kept;
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    const Attempt* const attempt = find(queue_[i]);
    if (attempt != nullptr && attempt->is<Attempt::Queued>()) kept.push_back(std::uint64_t{queue_[i]});
  }
  queue_ = std::move(kept);
}

std::uint32_t Attempts::ahead(bool command) const {
  // What waits behind a thread that does not come back would wait forever.
  if (lost_slots_ > 0) return 0;
  // Only among their own kind, one slot each: the runner bounds commands and handlers separately.
  if (used_ != running_ || commands_ != (command ? running_ : 0)) return 0;
  const Duration mean = command ? command_mean_ : handler_mean_;
  if (mean.count() == 0 || (command && mean >= kShortCommand)) return 0;
  const std::int64_t jobs = command ? std::max<std::int64_t>(1, kAheadCommands / mean) : kAheadWork / mean;
  return slots_ * static_cast<std::uint32_t>(std::min(kAheadMost, jobs));
}

bool Attempts::follows_a_killed_one(const Attempt& attempt) const {
  if (count<Attempt::Killing>() == 0) return false;
  bool found = false;
  index_.any(attempt.order.key, [&](std::uint32_t row) {
    found = rows_[row].is<Attempt::Killing>() && rows_[row].order.key == attempt.order.key;
    return found;
  });
  return found;
}

// The one whose turn it is, which it stays until start_next() takes it; null if none can go.
Attempt* Attempts::next_in_order() {
  for (auto at = behind_killed_.begin(); at != behind_killed_.end();) {
    Attempt* const attempt = find(*at);
    if (attempt == nullptr) {
      at = behind_killed_.erase(at);
      continue;
    }
    if (!follows_a_killed_one(*attempt)) return attempt;
    ++at;
  }
  for (; !queue_.empty(); queue_.pop_front()) {
    Attempt* const attempt = find(queue_.front());
    if (attempt == nullptr || !attempt->is<Attempt::Queued>()) continue;
    if (!follows_a_killed_one(*attempt)) return attempt;
    behind_killed_.push_back(attempt->token);
  }
  return nullptr;
}

bool Attempts::start_next(Time now, std::vector<StartAttempt>& starts) {
  if (queued() == 0) return false;
  Attempt* const next = next_in_order();
  if (next == nullptr) return false;
  const std::uint32_t needed = next->order.slots;
  const bool command = is_command(*next);
  if (used_ + needed > slots_ && !(needed == 1 && used_ < slots_ + ahead(command))) return false;
  if (!behind_killed_.empty()) std::erase(behind_killed_, next->token);
  queued_bytes_ -= next->order.work.size();
  if (starts.empty()) starts.reserve(std::min<std::size_t>(queued(), kStartsExpected));
  StartAttempt& start = starts.emplace_back();
  start.token = next->token;
  start.order = std::move(next->order);
  next->order.id.clear();
  next->order.work.clear();
  set(*next, Attempt::Started{});
  next->started = now;
  next->ahead = used_ + needed > slots_;
  if (next->ahead) {
    first_ahead();  // drops those that are gone: behind a long job many may come and go
    ahead_.push_back(std::uint64_t{next->token});
  }
  used_ += needed;
  commands_ += command ? 1 : 0;
  ++running_;
  return true;
}

Attempt* Attempts::find(std::uint64_t token) {
  const std::uint32_t row = row_of(token);
  if (token == 0 || row >= rows_.size() || rows_[row].token != token) return nullptr;
  return &rows_[row];
}

Attempt* Attempts::find(const JobRef& ref) {
  Attempt* found = nullptr;
  index_.any(ref.key, [&](std::uint32_t row) {
    if (!named(rows_[row].order, ref)) return false;
    found = &rows_[row];
    return !found->is<Attempt::Killing>() && !found->is<Attempt::Lost>() && !found->foreign;
  });
  return found;
}

void Attempts::kill(Attempt& attempt) {
  CHECK(attempt.is<Attempt::Started>());
  set(attempt, Attempt::Killing{});
}

void Attempts::doubt(Attempt& attempt, Outcome&& outcome, Duration ran, Time until, Time now) {
  CHECK(attempt.is<Attempt::Started>() || attempt.is<Attempt::Killing>());
  free_slots(attempt, now, ran);
  const std::uint64_t bytes = outcome.size_bytes();
  doubtful_bytes_ += bytes;
  set(attempt, Attempt::Doubtful{std::make_unique<Outcome>(std::move(outcome)), bytes, ran, until});
  doubts_.push_back(std::uint64_t{attempt.token});
}

void Attempts::lose(Attempt& attempt) {
  CHECK(attempt.is<Attempt::Started>() || attempt.is<Attempt::Killing>());
  set(attempt, Attempt::Lost{});
  lost_slots_ += attempt.order.slots;
}

// If one is over that was still ahead, it ran in the slot of another whose end is yet to be told, or it never
// ran. Either way no slot has become free by this.
void Attempts::free_slots(Attempt& attempt, Time now, Duration ran) {
  CHECK(used_ >= attempt.order.slots && running_ > 0);
  used_ -= attempt.order.slots;
  --running_;
  commands_ -= is_command(attempt) ? 1 : 0;
  if (attempt.is<Attempt::Lost>()) lost_slots_ -= attempt.order.slots;
  if (!std::exchange(attempt.ahead, false)) begin_ahead(attempt.order.slots, now);
  if (ran.count() <= 0) return;
  Duration& mean = is_command(attempt) ? command_mean_ : handler_mean_;
  mean = mean.count() == 0 ? ran : std::max(Duration{1}, mean + (ran - mean) / 8);
}

// What waits there has one slot each (see ahead()).
void Attempts::begin_ahead(std::uint32_t slots, Time now) {
  for (; slots > 0; --slots) {
    Attempt* const next = first_ahead();
    if (next == nullptr) return;
    next->ahead = false;
    next->started = now;
  }
}

Attempt* Attempts::first_ahead() {
  for (; !ahead_.empty(); ahead_.pop_front()) {
    Attempt* const attempt = find(ahead_.front());
    if (attempt != nullptr && attempt->ahead) return attempt;
  }
  return nullptr;
}

void Attempts::end(Attempt& attempt, Time now, Duration ran) {
  CHECK(attempt.token != 0);
  if (attempt.is<Attempt::Queued>()) {
    queued_bytes_ -= attempt.order.work.size();
  } else if (const auto* doubtful = std::get_if<Attempt::Doubtful>(&attempt.state)) {
    doubtful_bytes_ -= doubtful->bytes;
  } else {
    free_slots(attempt, now, ran);
  }
  remove(attempt);
}

void Attempts::remove(Attempt& attempt) {
  const std::uint32_t row = row_of(attempt.token);
  --counts_[attempt.state.index()];
  index_.remove(attempt.order.key, row);
  attempt.free();
  free_rows_.push_back(row);
}

std::vector<JobOrder> Attempts::take_queued() {
  std::vector<JobOrder> taken;
  taken.reserve(queued());
  const auto take = [&](std::uint64_t token) {
    Attempt* const attempt = find(token);
    if (attempt == nullptr || !attempt->is<Attempt::Queued>()) return;
    queued_bytes_ -= attempt->order.work.size();
    attempt->order.work.clear();
    taken.push_back(attempt->order);
    remove(*attempt);
  };
  for (const std::uint64_t token : std::exchange(behind_killed_, {})) take(token);
  for (std::size_t i = 0; i < queue_.size(); ++i) take(queue_[i]);
  queue_.clear();
  return taken;
}

void Attempts::session_over() {
  take_queued();
  each([](Attempt& attempt) { attempt.order.handle = Handle{}; });
}

Attempt* Attempts::first_doubtful() {
  for (; !doubts_.empty(); doubts_.pop_front()) {
    Attempt* const attempt = find(doubts_.front());
    if (attempt != nullptr && attempt->is<Attempt::Doubtful>()) return attempt;
  }
  return nullptr;
}

std::optional<Time> Attempts::next_doubt() {
  const Attempt* const first = first_doubtful();
  if (first == nullptr) return std::nullopt;
  return std::get<Attempt::Doubtful>(first->state).until;
}

// The first that waits for slots alone.
const Attempt* Attempts::head() const {
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    const std::uint32_t row = row_of(queue_[i]);
    if (rows_[row].token == queue_[i] && rows_[row].is<Attempt::Queued>()) return &rows_[row];
  }
  return nullptr;
}

bool Attempts::stuck() const {
  if (lost_slots_ == 0 || working() > 0 || doubtful() > 0) return false;
  if (lost_slots_ >= slots_) return true;
  const Attempt* const next = head();
  return next != nullptr && lost_slots_ + next->order.slots > slots_;
}

}  // namespace workpool::worker
