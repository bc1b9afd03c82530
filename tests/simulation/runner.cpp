// SPDX-License-Identifier: MIT
// What a worker's threads and spawners do, with the pool's one thread a slot: begin in order, ask the lease
// right before, end in all the ways in which jobs end.
#include <algorithm>
#include <utility>

#include "tests/simulation/worker_node.h"
#include "tests/simulation/world.h"

namespace workpool::simulation {
namespace {

Outcome outcome_of(Status status, ErrorKind kind) {
  Outcome outcome;
  outcome.status = status;
  outcome.kind = kind;
  if (status != Status::kOk) outcome.message = "as planned";
  return outcome;
}

}  // namespace

// Once for each seed: who starts it afresh has mended it.
void WorkerNode::plan_stop_of_handler() {
  if (plan_.stops_handler.empty() || std::exchange(stop_planned_, true)) return;
  world_.timeline.after(plan_.stops_after, [this] { stop_handler(); });
}

// Three of its programs have died. What waits for it goes back; what runs of it is another child's, and goes
// on.
void WorkerNode::stop_handler() {
  if (!alive_ || !session_) return;
  world_.trace([&] { return plan_.name + " stops its handler " + plan_.stops_handler; });
  stopped_handler_ = plan_.stops_handler;
  const std::deque<std::uint64_t> waiting = handlers_.waiting;
  for (const std::uint64_t token : waiting) {
    if (is_of_stopped(token)) take_out(token);
  }
  deliver(worker::HandlerStopped{stopped_handler_, "as planned"});
  if (plan_.started_afresh > Duration{0}) later(plan_.started_afresh, false, [this] { ask_to_stop(); });
}

bool WorkerNode::is_of_stopped(std::uint64_t token) const {
  const auto found = runs_.find(token);
  return found != runs_.end() && !stopped_handler_.empty() &&
         world_.books.plan(found->second.order.key)->requirement.type == stopped_handler_;
}

void WorkerNode::take_run(worker::StartAttempt& start) {
  Run& run = runs_[start.token];
  run.order = std::move(start.order);
  run.handler = run.order.kind == JobKind::kHandler;
  Lane& lane = run.handler ? handlers_ : commands_;
  lane.waiting.push_back(start.token);
  if (is_of_stopped(start.token)) return take_out(start.token);
  begin_next(lane);
}

// The pool has a thread a slot, and the spawners run no more commands than there are slots.
void WorkerNode::begin_next(Lane& lane) {
  while (lane.running < plan_.slots && !lane.waiting.empty()) {
    const std::uint64_t token = lane.waiting.front();
    lane.waiting.pop_front();
    if (!runs_.contains(token)) continue;
    ++lane.running;
    later(microseconds(world_.random.between(std::int64_t{5}, std::int64_t{400})), true,
          [this, token] { begin(token); });
  }
}

void WorkerNode::begin(std::uint64_t token) {
  const auto found = runs_.find(token);
  if (found == runs_.end() || found->second.begun) return;
  Run& run = found->second;
  if (run.killed || run.unstart || is_of_stopped(token) || local() >= lease_)
    return finish(token, worker::AttemptEnd::kNotStarted);
  if (no_resources_ && !run.handler) {
    no_resources_ = false;
    return finish(token, worker::AttemptEnd::kNoResources);
  }
  for (const auto& [other, killed] : runs_) {
    const bool same_job = other != token && killed.order.key == run.order.key;
    if (same_job && killed.begun && killed.killed && !killed.reported)
      world_.books.broke(plan_.name + " begins a job beside its own killed attempt");
  }
  world_.check_limits(run.order.key);
  run.begun = true;
  run.began = local();
  world_.books.started(id_, run.order.key, run.order.attempt, local());
  world_.trace([&] { return plan_.name + " begins " + world_.books.plan(run.order.key)->facts.id; });
  plan_end(token);
}

std::uint32_t WorkerNode::running_with(const Limit& limit) const {
  return static_cast<std::uint32_t>(std::ranges::count_if(runs_, [&](const auto& entry) {
    const Run& run = entry.second;
    const auto& limits = world_.books.plan(run.order.key)->requirement.limits;
    return run.begun && !run.reported && std::ranges::find(limits, limit) != limits.end();
  }));
}

void WorkerNode::plan_end(std::uint64_t token) {
  const Run& run = runs_.at(token);
  const JobPlan& job = *world_.books.plan(run.order.key);
  const std::uint32_t execution = world_.books.executions_of(run.order.key);
  const auto at = [&](Duration after, std::function<void()> what) {
    later(after, false, [this, token, turn = run.turn, what = std::move(what)] {
      const auto now = runs_.find(token);
      if (now != runs_.end() && now->second.turn == turn) what();
    });
  };
  if (plan_.bad && world_.timeline.now() < Time{plan_.mended}) {
    const ErrorKind kind = plan_.cannot_start && !run.handler ? ErrorKind::kSpawn : ErrorKind::kExit;
    world_.books.will_fail_for_its_worker(run.order.key);
    return at(std::min<Duration>(job.run, milliseconds(200)), [this, token, kind] {
      finish(token, worker::AttemptEnd::kOutcome, outcome_of(Status::kFailed, kind));
    });
  }
  if (job.poison) return at(job.run, [this] { kill_engine("poison"); });
  const Duration timeout = run.order.timeout;
  if (timeout.count() > 0 && (job.hangs || job.run >= timeout)) {
    const bool lost = run.handler && (job.stubborn || world_.random.one_in(2));
    at(timeout, [this, token, lost, stubborn = job.stubborn] {
      finish(token, worker::AttemptEnd::kOutcome, outcome_of(Status::kTimeout, ErrorKind::kTimeout), lost);
      const bool for_ever = stubborn && world_.random.one_in(2);
      if (lost && !for_ever) {
        later(world_.random.spread(milliseconds(1), seconds(10)), false,
              [this, token] { free_thread(token); });
      }
    });
    return;
  }
  if (job.by_signal && execution == 1) {
    return at(job.run, [this, token] {
      finish(token, worker::AttemptEnd::kDoubtful, outcome_of(Status::kFailed, ErrorKind::kSignal));
    });
  }
  const bool fails = execution <= job.fails;
  at(job.run, [this, token, fails] {
    finish(token, worker::AttemptEnd::kOutcome,
           fails ? outcome_of(Status::kFailed, ErrorKind::kExit) : outcome_of(Status::kOk, ErrorKind::kNone));
  });
}

void WorkerNode::finish(std::uint64_t token, worker::AttemptEnd how, Outcome outcome, bool slot_lost) {
  const auto found = runs_.find(token);
  if (found == runs_.end() || found->second.reported) return;
  Run& run = found->second;
  const Duration ran = run.begun ? local() - run.began : Duration{0};
  if (how == worker::AttemptEnd::kOutcome || how == worker::AttemptEnd::kDoubtful) {
    world_.books.ended(run.order.key, run.order.attempt, outcome.status);
  }
  deliver(worker::AttemptsEnded{{worker::AttemptEnded{token, how, std::move(outcome), ran, slot_lost}}});
  if (slot_lost) {
    run.reported = true;
    return;
  }
  Lane& lane = run.handler ? handlers_ : commands_;
  runs_.erase(found);
  --lane.running;
  begin_next(lane);
}

// The thread of a handler that had been given up has come back.
void WorkerNode::free_thread(std::uint64_t token) {
  if (runs_.erase(token) == 0) return;
  --handlers_.running;
  deliver(worker::AttemptsEnded{
      {worker::AttemptEnded{token, worker::AttemptEnd::kStopped, {}, Duration{0}, false}}});
  begin_next(handlers_);
}

void WorkerNode::kill_run(std::uint64_t token, bool now) {
  const auto found = runs_.find(token);
  if (found == runs_.end() || found->second.reported) return;
  Run& run = found->second;
  run.killed = true;
  if (!run.begun) return take_out(token);
  ++run.turn;
  const Duration takes = now || run.handler || world_.random.one_in(2)
                             ? world_.random.between(microseconds(100), milliseconds(5))
                             : world_.random.between(milliseconds(5), seconds(5));
  later(takes, false, [this, token, turn = run.turn] {
    const auto then = runs_.find(token);
    if (then != runs_.end() && then->second.turn == turn) finish(token, worker::AttemptEnd::kStopped);
  });
}

void WorkerNode::unstart(std::uint64_t token) {
  const auto found = runs_.find(token);
  if (found == runs_.end() || found->second.begun) return;
  found->second.unstart = true;
  take_out(token);
}

// What waits for a thread ends at once: the thread may never come. What a thread is about to begin ends
// there.
void WorkerNode::take_out(std::uint64_t token) {
  Run& run = runs_.at(token);
  Lane& lane = run.handler ? handlers_ : commands_;
  if (std::erase(lane.waiting, token) == 0) return;
  ++lane.running;  // finish() counts it off again
  finish(token, worker::AttemptEnd::kNotStarted);
}

}  // namespace workpool::simulation
