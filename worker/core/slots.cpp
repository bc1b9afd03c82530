// SPDX-License-Identifier: MIT
#include "worker/core/slots.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "common/base/check.h"

namespace workpool::worker {
namespace {

constexpr Duration kAheadWork = milliseconds(1);
constexpr Duration kShortCommand = milliseconds(50);
constexpr std::int64_t kAheadMost = 256;  // jobs a slot

bool named(const JobOrder& order, const JobRef& ref) {
  if (ref.handle.value != 0) return order.handle == ref.handle && order.key == ref.key;
  return order.key == ref.key && order.attempt == ref.attempt;
}

// The compact JSON of a job's work starts with its kind (common/base/job.h).
bool is_handler(const JobOrder& order) { return std::string_view(order.work).starts_with(R"({"type":)"); }

}  // namespace

Slots::Slots(std::uint32_t count) : count_(count) {}

void Slots::queue(JobOrder&& order, Time now) { queue_.push_back({std::move(order), now}); }

std::uint32_t Slots::ahead(bool handler) const {
  // What waits behind a thread that does not come back would wait for ever.
  if (lost_ > 0) return 0;
  // Only among their own kind, one slot each: the pool and the spawners keep their bounds apart.
  if (used_ != running_ || commands_ != (handler ? 0 : running_)) return 0;
  if (!handler) return command_mean_.count() > 0 && command_mean_ < kShortCommand ? count_ : 0;
  if (handler_mean_.count() == 0) return 0;
  const std::int64_t jobs = std::min(kAheadMost, kAheadWork / handler_mean_);
  return count_ * static_cast<std::uint32_t>(jobs);
}

std::optional<JobOrder> Slots::start_next(Time now, std::uint64_t& token) {
  if (queue_.empty()) return std::nullopt;
  const std::uint32_t needed = queue_.front().order.slots;
  const bool handler = is_handler(queue_.front().order);
  if (used_ + needed > count_ && !(needed == 1 && used_ < count_ + ahead(handler))) return std::nullopt;
  Queued next = std::move(queue_.front());
  queue_.pop_front();
  if (free_places_.empty()) {
    free_places_.push_back(static_cast<std::uint32_t>(places_.size()));
    places_.emplace_back();
  }
  const std::uint32_t place = free_places_.back();
  free_places_.pop_back();
  if (++generation_ == 0) generation_ = 1;
  token = std::uint64_t{generation_} << 32 | place;
  std::string work = std::exchange(next.order.work, std::string{});
  Running& running = places_[place];
  running = Running{
      .token = token, .order = next.order, .handler = handler, .received = next.received, .started = now};
  used_ += needed;
  commands_ += handler ? 0 : 1;
  ++running_;
  next.order.work = std::move(work);
  return std::move(next.order);
}

Running* Slots::find(std::uint64_t token) {
  const auto place = static_cast<std::uint32_t>(token);
  if (token == 0 || place >= places_.size() || places_[place].token != token) return nullptr;
  return &places_[place];
}

Running* Slots::find(const JobRef& ref) {
  const auto found = std::find_if(places_.begin(), places_.end(), [&](const Running& running) {
    return running.token != 0 && named(running.order, ref);
  });
  return found == places_.end() ? nullptr : &*found;
}

void Slots::ended(std::uint64_t token, Duration ran) {
  Running* running = find(token);
  CHECK(running != nullptr && used_ >= running->order.slots && running_ > 0);
  used_ -= running->order.slots;
  commands_ -= running->handler ? 0 : 1;
  --running_;
  if (running->reported) lost_ -= running->order.slots;
  if (ran.count() > 0) {
    Duration& mean = running->handler ? handler_mean_ : command_mean_;
    mean = mean.count() == 0 ? ran : std::max(Duration{1}, mean + (ran - mean) / 8);
  }
  *running = Running{};
  free_places_.push_back(static_cast<std::uint32_t>(token));
}

void Slots::lose(std::uint64_t token) {
  Running* running = find(token);
  CHECK(running != nullptr && !running->reported);
  running->reported = true;
  lost_ += running->order.slots;
}

std::vector<JobOrder> Slots::take_queued() {
  std::vector<JobOrder> taken;
  taken.reserve(queue_.size());
  for (std::size_t i = 0; i < queue_.size(); ++i) taken.push_back(std::move(queue_[i].order));
  queue_.clear();
  return taken;
}

std::optional<JobOrder> Slots::take_queued(const JobRef& ref) {
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    if (!named(queue_[i].order, ref)) continue;
    JobOrder order = std::move(queue_[i].order);
    queue_.erase(i);
    return order;
  }
  return std::nullopt;
}

std::size_t Slots::working() const {
  return static_cast<std::size_t>(std::count_if(places_.begin(), places_.end(), [](const Running& running) {
    return running.token != 0 && !running.reported;
  }));
}

bool Slots::stuck() const {
  if (lost_ == 0 || working() > 0) return false;
  return lost_ >= count_ || (!queue_.empty() && lost_ + queue_.front().order.slots > count_);
}

}  // namespace workpool::worker
