// SPDX-License-Identifier: MIT
// How a spawner's command comes to its end: by itself, by its timeout, killed. The rest of the spawner is in
// spawner.cpp.
#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>
#include <utility>

#include "worker/io/runner/spawner.h"

namespace workpool::worker {
namespace {

constexpr Duration kReadToTheEnd = seconds(1);
// Killed processes are mostly gone within microseconds; those that ignore TERM are looked at less and less
// often.
constexpr Duration kFirstPause = microseconds(500);
constexpr Duration kLongestPause = milliseconds(20);
constexpr Duration kUnkillable = seconds(5);  // after KILL, of what is stuck in the kernel
constexpr Duration kLongestInGrace = milliseconds(100);
// KILL ends most starts that hang: NFS, FUSE and leases let go of a killed process.
constexpr Duration kStartEnds = milliseconds(250);

}  // namespace

void Spawner::begin_kill(std::uint64_t token, bool kill_at_once, Time now) {
  const auto waiting =
      std::find_if(pending_.begin(), pending_.end(), [&](auto& attempt) { return attempt.token == token; });
  if (waiting != pending_.end()) {
    pending_.erase(waiting);
    push({token, AttemptEnd::kNotStarted, {}, Duration(0)});
    return;
  }
  const Time kill_at = kill_at_once ? now : now + services_->run->options.kill_grace;
  for (auto& [number, run] : runs_) {
    if (run.token != token) continue;
    end_early(run, Reason::kStopped, kill_at, now);
    return;
  }
  for (auto& [number, run] : unsettled_) {
    if (run->ending.token != token) continue;
    if (run->reason != Reason::kByItself) return;  // its files are being given up
    run->kill_at = std::min(run->kill_at, kill_at);
    run->look_at = std::min(run->look_at, kill_at);
    next_wake_ = std::min(next_wake_, run->look_at);
    return;
  }
}

// Sends TERM now and KILL at `kill_at`. If the run is being ended or has ended, only KILL may come sooner.
void Spawner::end_early(Run& run, Reason reason, Time kill_at, Time now) {
  if (run.command == nullptr) return end_start(run, reason, now);
  if (run.reason == Reason::kByItself && !run.command->reap()) {
    run.reason = reason;
    run.deadline = kNever;
    if (kill_at > now) terminate(services_->run->tree.members(run.command->processes()));
  }
  run.kill_at = std::min(run.kill_at, kill_at);
  run.pause = Duration(0);
  wake_at(run, now);
}

// A process that is being started has no signal handler to run, so it gets KILL at once.
void Spawner::end_start(Run& run, Reason reason, Time now) {
  if (run.lost) return;
  run.under_way->kill();
  if (run.reason != Reason::kByItself) return;
  run.reason = reason;
  run.deadline = kNever;
  run.kill_at = now + kStartEnds;
  wake_at(run, run.kill_at);
}

// Reports the ending at once; the slot stays in use until the start returns.
void Spawner::give_up_start(Run& run) {
  AttemptEnded ending = ending_of(run);
  ending.slot_lost = true;
  endings_.push_back(std::move(ending));
  in_a_hurry_ = true;
  run.lost = true;
  run.kill_at = run.wake = kNever;
}

void Spawner::wake_at(Run& run, Time when) {
  run.wake = when;
  next_wake_ = std::min(next_wake_, when);
}

void Spawner::fire_timers(Time now) {
  if (next_wake_ > now) return;
  next_wake_ = kNever;
  std::vector<std::uint32_t> finished;
  for (auto& [number, run] : runs_) {
    if (run.wake <= now) {
      if (run.deadline <= now)
        end_early(run, Reason::kTimeout, now + services_->run->options.kill_grace, now);
      if (run.command == nullptr) {
        if (run.kill_at <= now) give_up_start(run);
      } else if (settle(run, now)) {
        finished.push_back(number);
      }
    }
    next_wake_ = std::min(next_wake_, run.wake);
  }
  look_at_unsettled(now);
  for (const std::uint32_t number : finished) finish(number);
}

// If there is no memory for its output, the job ends as one without resources.
void Spawner::read(Run& run, bool output, bool errors) {
  try {
    if (output) run.command->drain_output(buffer_);
    if (errors) run.command->drain_errors(buffer_);
  } catch (const std::bad_alloc&) {
    run.reason = Reason::kNoMemory;
    run.deadline = kNever;
    run.kill_at = boot_time();
    wake_at(run, run.kill_at);
  }
}

// Takes the run as far as it goes now; returns whether it is over. If not, `wake` is when to look again.
bool Spawner::settle(Run& run, Time now) {
  if (run.command->reap() && run.ended == kNever) {
    run.ended = now;
    run.deadline = run.wake = kNever;
    read(run, true, true);
  }
  return run.reason == Reason::kByItself ? settle_ended_by_itself(run, now) : settle_ended_early(run, now);
}

bool Spawner::settle_ended_by_itself(Run& run, Time now) {
  if (!run.command->has_exited()) return false;
  const bool hurried = run.kill_at <= now;
  if (run.command->has_open_pipes() && !hurried && now < run.ended + kReadToTheEnd) {
    wake_at(run, run.ended + kReadToTheEnd);
    return false;
  }
  if (!kill_left(run, now)) return false;
  read(run, true, true);
  return true;
}

bool Spawner::settle_ended_early(Run& run, Time now) {
  if (run.kill_at > now && !services_->run->tree.members(run.command->processes()).empty()) {
    look_again(run, now);
    return false;
  }
  return kill_left(run, now) && settle_pipes(run, now);
}

// Returns true if nothing is left of the job except what cannot be killed.
bool Spawner::kill_left(Run& run, Time now) {
  std::vector<int> left = services_->run->tree.members(run.command->processes());
  if (left.empty()) return true;
  if (run.killed == kNever) run.killed = now;
  const std::size_t not_ours = kill_now(left);
  if (not_ours == left.size() || now >= run.killed + kUnkillable) {
    run.alive = std::move(left);
    return true;
  }
  look_again(run, now);
  return false;
}

// All its processes are gone, and with them the writers of its pipes, unless one of them hid from us.
bool Spawner::settle_pipes(Run& run, Time now) {
  read(run, true, true);
  if (!run.command->has_open_pipes()) return true;
  if (run.read_until == kNever) run.read_until = now + kReadToTheEnd;
  if (now >= run.read_until) return true;
  look_again(run, now);
  return false;
}

void Spawner::look_again(Run& run, Time now) {
  const bool in_grace = run.kill_at != kNever && run.kill_at > now;
  run.pause = run.pause == Duration(0) ? kFirstPause
                                       : std::min(run.pause * 2, in_grace ? kLongestInGrace : kLongestPause);
  run.wake = now + run.pause;
  if (in_grace) {
    // While the job's own process lives nothing can be over, and its end is an event.
    run.wake = run.command->has_exited() ? std::min(run.wake, run.kill_at) : run.kill_at;
  }
  next_wake_ = std::min(next_wake_, run.wake);
}

AttemptEnded Spawner::ending_of(Run& run) {
  AttemptEnded ending;
  ending.token = run.token;
  ending.ran = (run.ended == kNever ? boot_time() : run.ended) - run.started;
  ending.alive = std::move(run.alive);
  if (run.lost) {  // all else has been said
    ending.how = AttemptEnd::kStopped;
    return ending;
  }
  switch (run.reason) {
    case Reason::kByItself:
      if (run.command == nullptr) break;
      ending.outcome = run.command->take_outcome();
      if (may_be_of_a_stop(run.command->ended_by_signal())) ending.how = AttemptEnd::kDoubtful;
      break;
    case Reason::kTimeout:
      if (run.command != nullptr) {
        ending.outcome = run.command->take_outcome();
      } else {
        ending.outcome.command.emplace();
      }
      ending.outcome = timed_out(std::move(ending.outcome), run.timeout);
      if (run.command == nullptr) ending.outcome.message += " while it was being started";
      break;
    case Reason::kStopped:
      ending.how = AttemptEnd::kStopped;
      break;
    case Reason::kNoMemory:
      ending.how = AttemptEnd::kNoResources;
      ending.outcome.message = std::generic_category().message(ENOMEM);
      break;
  }
  return ending;
}

void Spawner::finish(std::uint32_t number) {
  Run& run = runs_.at(number);
  AttemptEnded ending = ending_of(run);
  OutputFiles files = run.command->take_files();
  const std::uint32_t place = run.place;
  if (!run.command->has_exited()) {
    run.command->abandon();
    abandoned_.push_back(std::move(run.command));
  }
  runs_.erase(number);
  if (files.any()) return unsettle(number, std::move(ending), std::move(files), place);
  report(place, std::move(ending));
}

// REQUIRES: its output files are in their places, because a job fails if one is not.
void Spawner::report(std::uint32_t place, AttemptEnded&& ending) {
  drop_unwanted(ending.outcome);
  services_->run->options.page->ended(place);
  push(std::move(ending));
}

// With --capture failed nothing is kept of what is ok, except in files.
void Spawner::drop_unwanted(Outcome& outcome) const {
  if (!outcome.command || outcome.status != Status::kOk || !services_->run->capture_failed_only.load())
    return;
  CommandEnd& end = *outcome.command;
  end.standard_output.clear();
  end.standard_error.clear();
  if (!end.output_file) end.keeps_output = false;
  if (!end.error_file) end.keeps_errors = false;
  end.truncated = 0;
}

// Reports the ending; the next waiting command takes the slot. Only a usual ending may wait for others, and
// only if there is such a command: else the dispatcher has to fill the slot.
void Spawner::push(AttemptEnded&& ending) {
  const std::uint64_t token = ending.token;
  const bool is_usual = ending.how == AttemptEnd::kOutcome;
  endings_.push_back(std::move(ending));
  auto next = services_->table.leave(token);
  if (!is_usual || !next) in_a_hurry_ = true;
  if (next) pending_.push_back(std::move(*next));
}

// With nothing of its own too, once the oldest ending in the shared batch is due.
void Spawner::hand_over(Time now) {
  const bool at_once = std::exchange(in_a_hurry_, false) || told_to_end_;
  if (endings_.empty() && !at_once && now < hand_over_at_) return;
  hand_over_at_ = services_->endings.add(endings_, at_once, now);
}

}  // namespace workpool::worker
