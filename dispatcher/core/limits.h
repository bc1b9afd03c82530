// SPDX-License-Identifier: MIT
// Which requirement classes may hand out a job now, by the limits of their keys. Each key is a gate that all
// classes with it share. A gate is open while fewer of its jobs are with workers than it allows, and while
// fewer of them started within the last time `per` than it allows.
//
// A start counts from when its job is given to a worker until `per` after the job is known to have started at
// the latest: so however long it was under way, no more than that start within any such time. A program needs
// a moment until it does what the limit is for, so a tenth of `per` is added, or less if the job has ended
// before.
//
// A class that finds one of its gates closed waits at that gate (park), in the order of its best job. A gate
// that opens is reported once; whoever hands out jobs then takes classes from it one by one, so that a gate
// with 10,000 classes behind it costs no more than one with two.
//
// After a restart, workers of the start before may still run jobs, and what they started last is not known:
// until they are back, gates with a number stay closed, and each rate starts as used up. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/job.h"
#include "common/base/time.h"
#include "dispatcher/core/class_heads.h"

namespace workpool::dispatcher {

class Limits {
 public:
  using Gate = std::uint32_t;

  // The time from now on. It never goes back. Starts that are `per` ago are forgotten.
  void advance(Time now);
  // When that is due next; nullopt if nothing is.
  std::optional<Time> next_due() const;

  // ---- classes ----
  void meet(std::uint32_t number, const std::vector<Limit>& limits);
  // REQUIRES: nothing of it is held, and it does not wait.
  void forget(std::uint32_t number);
  const std::vector<Gate>& gates_of(std::uint32_t number) const {
    return number < of_class_.size() ? of_class_[number] : none_;
  }
  bool limits(std::uint32_t number) const { return !gates_of(number).empty(); }
  // Whether a job of the class may be given away now.
  bool open(std::uint32_t number) const { return !closed_gate(number); }

  // ---- jobs of limited classes that workers hold ----
  void give(std::uint32_t number);
  // It runs since before: it takes no start.
  void adopt(std::uint32_t number);
  // A job that was given has started, at that time or before. At most once for each that was given.
  void started(std::uint32_t number, Time at);
  // It was not started, and never will be.
  void unstarted(std::uint32_t number);
  // It is held no longer. REQUIRES: started() or unstarted() of it came, or it was adopted.
  void release(std::uint32_t number);

  // ---- classes that wait ----
  // The class has a job of this rank that waits; returns whether all its gates are open. If not, it stands at
  // a closed one from now on.
  bool admit(std::uint32_t number, const QueueRank& rank);
  // It waits no longer.
  void leave(std::uint32_t number);
  bool waits(std::uint32_t number) const { return number < waits_at_.size() && waits_at_[number] != kNoGate; }
  std::size_t waiting() const { return waiting_; }
  // Takes the class with the best job from those at this gate; nullopt if the gate is closed, or there is
  // none.
  std::optional<std::uint32_t> next_at(Gate gate);
  // The gates that have opened since the last call, and at which classes wait.
  std::vector<Gate> take_opened() { return std::exchange(opened_, {}); }

  // ---- after a restart ----
  // All starts that any gate allows count as used up now.
  void use_up_all();
  // No job of a gate with a number is given away until release_all().
  void hold_all() { holds_all_ = true; }
  void release_all();
  bool holds_all() const { return holds_all_; }

  // ---- what people are told ----
  // Every gate is below this.
  std::size_t gates() const { return gates_.size(); }
  const std::string& key(Gate gate) const { return gates_[gate].key; }
  const LimitRule& rule(Gate gate) const { return gates_[gate].rule; }
  // visit(gate, number) for each class that waits, and where.
  template <class Visit>
  void each_waiting(Visit&& visit) const {
    for (std::uint32_t number = 0; number < waits_at_.size(); ++number) {
      if (waits_at_[number] != kNoGate) visit(waits_at_[number], number);
    }
  }
  // So many of its jobs are with workers.
  std::uint32_t held(Gate gate) const { return gates_[gate].held; }

 private:
  static constexpr Gate kNoGate = 0xffffffff;
  struct State {
    std::string key;
    LimitRule rule;
    std::uint32_t classes = 0;  // that have it; 0 and nothing below: it is free
    std::uint32_t held = 0;
    std::uint32_t starts = 0;  // that count: of jobs under way, or within the last `per`
    ClassHeap queue;           // the classes that wait here
  };
  // So many starts are forgotten then.
  struct Due {
    Time at;
    Gate gate = 0;
    std::uint32_t starts = 1;
    bool operator>(const Due& other) const { return at > other.at; }
  };

  std::optional<Gate> closed_gate(std::uint32_t number) const;
  bool is_open(const State& gate) const;
  Gate gate_of(const Limit& limit);
  void use_up(Gate gate);
  void give_back(Gate gate, std::uint32_t starts);
  void note_if_opened(Gate gate, bool was_open);
  void free_if_unused(Gate gate);

  Time now_{};
  std::vector<State> gates_;
  std::vector<Gate> free_;
  std::unordered_map<std::string, Gate> by_key_;
  std::vector<std::vector<Gate>> of_class_;
  std::vector<Gate> waits_at_;  // by class
  std::size_t waiting_ = 0;
  std::vector<Gate> opened_;
  ClassPlaces places_;  // in the queues of the gates
  std::priority_queue<Due, std::vector<Due>, std::greater<>> due_;
  bool holds_all_ = false;
  std::optional<Time> restarted_;
  const std::vector<Gate> none_{};
};

}  // namespace workpool::dispatcher
