// SPDX-License-Identifier: MIT
#include "dispatcher/core/ending.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "common/base/check.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kGoodbyeLimit = seconds(2);  // after STOP
// After STOP, in a short run. Measured with 18 busy processes on 2 cores: a worker that came with the last
// result had its connection accepted 0.6 s after STOP, and its HELLO had not come 0.4 s later. If it is never
// answered, it waits forever.
constexpr Duration kLateHello = seconds(2);
constexpr Duration kComplaintLimit = seconds(1);  // longer if a worker said no goodbye: it may be registering
constexpr Duration kCancelLimit = seconds(7);     // TERM, 5 s, KILL, and the way back
constexpr Duration kUnsatisfiableWarning = seconds(10);
constexpr Duration kLookInterval = milliseconds(250);
// A result that waits for the line of its job is recorded before a drain ends; the line of a file that has
// been changed may never come.
constexpr Duration kEarlyLimit = seconds(5);

// What a worker must have; there may be as many keys as hosts.
Requirement without_limits(const Requirement& requirement) {
  return {requirement.type, requirement.labels, requirement.slots};
}

}  // namespace

const char* name_of(RunPhase phase) {
  switch (phase) {
    case RunPhase::kRunning:
      return "running";
    case RunPhase::kDraining:
      return "draining";
    case RunPhase::kCancelling:
      return "cancelling";
    case RunPhase::kFlushing:
      return "finishing";
    case RunPhase::kStopping:
      return "finishing";
    case RunPhase::kFinished:
      return "over";
  }
  return "";
}

bool Ending::complete() const { return input_ended_ && ledger_.jobs().open() == 0; }

RunEnd Ending::run_end() const {
  if (journal_.state().error != 0) return ResultsLost{journal_.state().error};
  if (signals_ > 0 && journal_.undurable_results() > 0) return Stopped{first_signal_};
  const Counts& counts = ledger_.counts();
  if (complete()) return end_of_all(options_.stop, counts.ok, counts.not_ok() == 0);
  if (broken_) return *broken_;
  if (signals_ > 0) return Stopped{first_signal_};
  return NobodyFits{};
}

// ---- reasons to end ----

void Ending::stop(StopKind kind, Step& step) {
  if (++signals_ == 1) first_signal_ = kind;
  if (signals_ >= 3) {
    finish(step);
  } else if (signals_ == 2) {
    cancel(step);
  } else {
    if (kind != StopKind::kInterrupt) cancel_at_ = step.now + options_.grace;
    drain(step);
  }
}

void Ending::jobs_file_changed(std::uint64_t line, Step& step) {
  if (broken_) return;
  step.decide(Report{JobsFileRefused{line}});
  break_off(JobsChanged{line}, step);
}

void Ending::input_broken(Step& step) { break_off(JobsUnreadable{}, step); }

void Ending::local_worker_failed(LocalWorkerFailed&& event, Step& step) {
  if (!options_.listening) break_off(NoLocalWorker{std::move(event.problem)}, step);
}

// The first cause is the one that is reported.
void Ending::break_off(RunEnd cause, Step& step) {
  if (!broken_) broken_ = std::move(cause);
  drain(step);
}

void Ending::look_at_results(Step& step) {
  if (phase_ != RunPhase::kRunning || complete()) return;
  auto why = stop_of(options_.stop, ledger_.counts().tally());
  if (!why) return;
  step.decide(Report{RunStops{*why}});
  break_off(*std::move(why), step);
}

void Ending::drain(Step& step) {
  if (phase_ != RunPhase::kRunning) return;
  phase_ = RunPhase::kDraining;
  early_limit_ = step.now + kEarlyLimit;
  for (auto& [id, session] : workers_.sessions()) ledger_.recall(session, step);
}

void Ending::cancel(Step& step) {
  if (phase_ != RunPhase::kRunning && phase_ != RunPhase::kDraining) return;
  phase_ = RunPhase::kCancelling;
  cancel_limit_ = step.now + kCancelLimit;
}

// ---- step by step ----

void Ending::advance(Duration pause, Step& step) {
  advanced_at_ = step.now;
  for (Unmet& entry : unmet_) entry.since += pause;
  if (only_unmet_since_) *only_unmet_since_ += pause;
  switch (phase_) {
    case RunPhase::kRunning:
      if (complete()) {
        flush(step);
      } else {
        look_for_unsatisfiable(step);
      }
      break;
    case RunPhase::kDraining:
      if (cancel_at_ && step.now >= *cancel_at_) {
        cancel(step);
      } else if (ledger_.jobs().assigned() == 0 && (ledger_.early() == 0 || step.now >= early_limit_)) {
        flush(step);
      }
      break;
    case RunPhase::kCancelling:
      for (auto& [id, session] : workers_.sessions()) ledger_.cancel_held(session, step);
      if (ledger_.jobs().assigned() == 0 || step.now >= *cancel_limit_) flush(step);
      break;
    case RunPhase::kFlushing:
      advance_flushing(step);
      break;
    case RunPhase::kStopping:
      advance_stopping(step);
      break;
    case RunPhase::kFinished:
      break;
  }
}

void Ending::flush(Step& step) {
  phase_ = RunPhase::kFlushing;
  advance_flushing(step);
}

void Ending::advance_flushing(Step& step) {
  const bool waits = journal_.state().error == 0 && journal_.undurable_results() > 0;
  if (waits && !told_to_leave(step.now)) return;  // for a full disk
  phase_ = RunPhase::kStopping;
  stop_said_ = step.now;
  sessions_.say_stop(step);
  step.decide(RunOver{run_end()});
  advance_stopping(step);
}

// By a second signal, or by a first one whose grace is over.
bool Ending::told_to_leave(Time now) const { return signals_ >= 2 || (cancel_at_ && now >= *cancel_at_); }

// A worker may come while a short run ends, and should hear that it is complete. Whoever tells us to leave
// does not want to wait for it.
Time Ending::open_until(Time now) const {
  const Time least = start_ + kGoodbyeLimit;
  if (!options_.listening || stop_said_ >= least || told_to_leave(now)) return stop_said_;
  return std::max(least, stop_said_ + kLateHello);
}

void Ending::advance_stopping(Step& step) {
  const bool late = step.now >= stop_said_ + kGoodbyeLimit;
  const bool open_long_enough = step.now >= open_until(step.now);
  if ((sessions_.any_session() && !late) || !open_long_enough) return;
  sessions_.close_all(step);
  const bool complaints_heard = sessions_.every_goodbye_said() || !options_.listening ||
                                step.now >= stop_said_ + kGoodbyeLimit + kComplaintLimit;
  if (complaints_heard) finish(step);
}

void Ending::finish(Step& step) {
  if (phase_ == RunPhase::kFinished) return;
  RunEnd end = run_end();
  phase_ = RunPhase::kFinished;
  step.decide(Finish{std::move(end)});
}

// ---- jobs that no worker can run ----

void Ending::look_for_unsatisfiable(Step& step) {
  // A worker may come, run the last of its jobs and leave between two looks.
  const RequirementClasses& classes = ledger_.jobs().classes();
  const bool newly_met = only_unmet_since_ && classes.newly_met() != newly_met_;
  if (!newly_met && step.now < looked_at_ + kLookInterval) return;
  looked_at_ = step.now;
  newly_met_ = classes.newly_met();
  unsatisfiable_.reset();
  bool any_worker = false;
  std::uint64_t unmet_jobs = 0;
  std::vector<Unmet> unmet;
  auto known = unmet_.begin();
  for (auto& [id, session] : workers_.sessions()) any_worker |= std::holds_alternative<Live>(session.phase);
  for (std::uint32_t number = 0; any_worker && number < classes.size(); ++number) {
    if (!classes.used(number) || classes.registered(number) > 0) continue;
    const std::uint64_t open = ledger_.jobs().open(number);
    if (open == 0) continue;
    unmet_jobs += open;
    while (known != unmet_.end() && known->requirement < number) ++known;
    const std::uint64_t serial = classes.at(number).serial();
    const bool is_known = known != unmet_.end() && known->serial == serial;
    unmet.push_back(is_known ? *known : Unmet{number, serial, step.now, false});
  }
  unmet_ = std::move(unmet);
  if (!unmet_.empty()) unsatisfiable_ = classes.at(unmet_.back().requirement).requirement();
  warn_of_unmet(step);
  const bool nothing_else = input_ended_ && unmet_jobs > 0 && unmet_jobs == ledger_.jobs().open();
  if (!nothing_else) {
    only_unmet_since_.reset();
    return;
  }
  if (!only_unmet_since_) only_unmet_since_ = step.now;
  if (step.now >= *only_unmet_since_ + options_.unsatisfiable_after) give_up_unsatisfiable(step);
}

// A stream may bring a new key with each job: what lacks the same as others before it is not told again.
void Ending::warn_of_unmet(Step& step) {
  const auto is_due = [&](const Unmet& entry) {
    return !entry.warned && step.now >= entry.since + kUnsatisfiableWarning;
  };
  if (std::ranges::none_of(unmet_, is_due)) return;
  const JobBook& jobs = ledger_.jobs();
  std::set<Requirement> known;
  for (const Unmet& entry : unmet_) {
    if (entry.warned) known.insert(without_limits(jobs.requirement(entry.requirement)));
  }
  std::map<Requirement, std::uint64_t> told;
  for (Unmet& entry : unmet_) {
    if (!is_due(entry)) continue;
    entry.warned = true;
    Requirement needed = without_limits(jobs.requirement(entry.requirement));
    if (!known.contains(needed)) told[std::move(needed)] += jobs.open(entry.requirement);
  }
  for (const auto& [needed, count] : told) step.decide(Report{JobUnsatisfiable{needed, count, false}});
}

void Ending::give_up_unsatisfiable(Step& step) {
  std::map<Requirement, std::uint64_t> told;
  for (const Unmet& entry : unmet_)
    told[without_limits(ledger_.jobs().requirement(entry.requirement))] +=
        ledger_.jobs().open(entry.requirement);
  for (const auto& [needed, jobs] : told) step.decide(Report{JobUnsatisfiable{needed, jobs, true}});
  flush(step);
}

std::optional<Time> Ending::next_deadline() const {
  std::optional<Time> next;
  // What was due before the last look has been judged; taken again, it would keep the loop awake.
  const auto take = [&next, this](Time time) {
    if (time > advanced_at_ && (!next || time < *next)) next = time;
  };
  switch (phase_) {
    case RunPhase::kRunning:
      if (!unmet_.empty()) take(looked_at_ + kLookInterval);
      break;
    case RunPhase::kDraining:
      if (cancel_at_) take(*cancel_at_);
      if (ledger_.early() > 0) take(early_limit_);
      break;
    case RunPhase::kCancelling:
      take(*cancel_limit_);
      break;
    case RunPhase::kFlushing:
      if (cancel_at_) take(*cancel_at_);
      break;
    case RunPhase::kStopping:
      take(std::max(stop_said_ + kGoodbyeLimit, open_until(advanced_at_)));
      if (cancel_at_) take(*cancel_at_);
      take(stop_said_ + kGoodbyeLimit + kComplaintLimit);
      break;
    case RunPhase::kFinished:
      break;
  }
  return next;
}

}  // namespace workpool::dispatcher
