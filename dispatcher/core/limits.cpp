// SPDX-License-Identifier: MIT
#include "dispatcher/core/limits.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kMomentMost = seconds(1);

}  // namespace

bool Limits::is_open(const State& gate) const {
  if (gate.rule.most > 0 && (holds_all_ || gate.held >= gate.rule.most)) return false;
  return !gate.rule.limits_rate() || gate.starts < gate.rule.starts;
}

std::optional<Limits::Gate> Limits::closed_gate(std::uint32_t number) const {
  for (const Gate gate : gates_of(number)) {
    if (!is_open(gates_[gate])) return gate;
  }
  return std::nullopt;
}

void Limits::note_if_opened(Gate gate, bool was_open) {
  const State& state = gates_[gate];
  if (!was_open && !state.queue.empty() && is_open(state)) opened_.push_back(gate);
}

// ---- time ----

void Limits::advance(Time now) {
  now_ = now;
  while (!due_.empty() && due_.top().at <= now) {
    const Due due = due_.top();
    due_.pop();
    give_back(due.gate, due.starts);
  }
}

void Limits::give_back(Gate gate, std::uint32_t starts) {
  State& state = gates_[gate];
  CHECK(state.starts >= starts);
  const bool was_open = is_open(state);
  state.starts -= starts;
  note_if_opened(gate, was_open);
  free_if_unused(gate);
}

std::optional<Time> Limits::next_due() const {
  if (due_.empty() || waiting_ == 0) return std::nullopt;
  return due_.top().at;
}

// ---- classes ----

Limits::Gate Limits::gate_of(const Limit& limit) {
  const auto [found, is_new] = by_key_.try_emplace(limit.key, kNoGate);
  if (!is_new) return found->second;
  Gate gate = static_cast<Gate>(gates_.size());
  if (free_.empty()) {
    gates_.emplace_back();
  } else {
    gate = free_.back();
    free_.pop_back();
  }
  found->second = gate;
  State& state = gates_[gate];
  state.key = limit.key;
  state.rule = limit.rule;
  if (restarted_) use_up(gate);
  return gate;
}

void Limits::use_up(Gate gate) {
  State& state = gates_[gate];
  const Time due = *restarted_ + state.rule.per;
  if (due <= now_ || state.starts >= state.rule.starts) return;
  due_.push({due, gate, state.rule.starts - state.starts});
  state.starts = state.rule.starts;
}

void Limits::meet(std::uint32_t number, const std::vector<Limit>& limits) {
  if (of_class_.size() <= number) {
    of_class_.resize(number + 1);
    waits_at_.resize(number + 1, kNoGate);
  }
  CHECK(of_class_[number].empty());
  for (const Limit& limit : limits) {
    const Gate gate = gate_of(limit);
    ++gates_[gate].classes;
    of_class_[number].push_back(gate);
  }
}

void Limits::forget(std::uint32_t number) {
  if (!limits(number)) return;
  CHECK(!waits(number));
  for (const Gate gate : std::exchange(of_class_[number], {})) {
    --gates_[gate].classes;
    free_if_unused(gate);
  }
}

void Limits::free_if_unused(Gate gate) {
  State& state = gates_[gate];
  if (state.classes + state.held + state.starts > 0) return;
  by_key_.erase(state.key);
  state = {};
  free_.push_back(gate);
}

// ---- jobs that are held ----

void Limits::give(std::uint32_t number) {
  for (const Gate gate : gates_of(number)) {
    ++gates_[gate].held;
    if (gates_[gate].rule.limits_rate()) ++gates_[gate].starts;
  }
}

void Limits::adopt(std::uint32_t number) {
  for (const Gate gate : gates_of(number)) ++gates_[gate].held;
}

void Limits::started(std::uint32_t number, Time at) {
  for (const Gate gate : gates_of(number)) {
    if (!gates_[gate].rule.limits_rate()) continue;
    const Duration per = gates_[gate].rule.per;
    const Duration moment = std::min<Duration>(per / 10, kMomentMost);
    const Time due = std::min(std::min(at, now_) + moment, now_) + per;
    due <= now_ ? give_back(gate, 1) : due_.push({due, gate});
  }
}

void Limits::unstarted(std::uint32_t number) {
  for (const Gate gate : gates_of(number)) {
    if (gates_[gate].rule.limits_rate()) give_back(gate, 1);
  }
}

void Limits::release(std::uint32_t number) {
  for (const Gate gate : gates_of(number)) {
    State& state = gates_[gate];
    CHECK(state.held > 0);
    const bool was_open = is_open(state);
    --state.held;
    note_if_opened(gate, was_open);
  }
}

// ---- classes that wait ----

bool Limits::admit(std::uint32_t number, const QueueRank& rank) {
  const auto closed = closed_gate(number);
  if (waits(number) && closed != waits_at_[number]) leave(number);
  if (!closed) return true;
  gates_[*closed].queue.set(places_, number, rank);
  if (std::exchange(waits_at_[number], *closed) == kNoGate) ++waiting_;
  return false;
}

void Limits::leave(std::uint32_t number) {
  if (!waits(number)) return;
  gates_[std::exchange(waits_at_[number], kNoGate)].queue.erase(places_, number);
  --waiting_;
}

std::optional<std::uint32_t> Limits::next_at(Gate gate) {
  const State& state = gates_[gate];
  if (state.queue.empty() || !is_open(state)) return std::nullopt;
  const std::uint32_t number = state.queue.best().number;
  leave(number);
  return number;
}

// ---- after a restart ----

void Limits::use_up_all() {
  restarted_ = now_;
  for (Gate gate = 0; gate < gates_.size(); ++gate) use_up(gate);
}

void Limits::release_all() {
  if (!std::exchange(holds_all_, false)) return;
  for (Gate gate = 0; gate < gates_.size(); ++gate) note_if_opened(gate, gates_[gate].rule.most == 0);
}

}  // namespace workpool::dispatcher
