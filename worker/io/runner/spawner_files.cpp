// SPDX-License-Identifier: MIT
// What a spawner does with the output files of a run that is over: reads them for their digest and puts them
// into their places. A large file or a slow disk must not hold up the other runs, so it counts as a start:
// if it takes too long, the loop goes on in another thread. That one sees whether it gets on. The rest of the
// spawner is in spawner.cpp.
#include <algorithm>
#include <exception>
#include <utility>

#include "common/base/text.h"
#include "common/base/units.h"
#include "worker/io/runner/spawner.h"

namespace workpool::worker {
namespace {

// A thread that is told to give files up does it after the next piece, unless the disk does not answer.
constexpr Duration kGivenUp = milliseconds(250);
constexpr std::size_t kShownBytesMost = 1000;

}  // namespace

void Spawner::unsettle(std::uint32_t number, AttemptEnded&& ending, OutputFiles&& files,
                       std::uint32_t place) {
  auto run = std::make_shared<Unsettled>();
  // Only what has ended by itself or by its timeout counts, and only if nothing can write into it any more.
  run->counts =
      (ending.how == AttemptEnd::kOutcome || ending.how == AttemptEnd::kDoubtful) && ending.alive.empty();
  files.say_none(ending.outcome);
  run->shown = files.shown();
  run->ending = std::move(ending);
  run->files = std::move(files);
  run->place = place;
  run->look_at = boot_time() + services_->run->options.files_patience;
  next_wake_ = std::min(next_wake_, run->look_at);
  unsettled_.emplace(number, std::move(run));
  to_settle_.push_back(number);
}

// Returns false if the loop belongs to another thread now.
bool Spawner::settle_files(Helper& self) {
  while (!to_settle_.empty()) {
    const std::uint32_t number = to_settle_.front();
    to_settle_.pop_front();
    const std::shared_ptr<Unsettled> run = unsettled_.at(number);
    {
      const std::lock_guard lock(mutex_);
      in_start_since_ = boot_time();
      self.is_in_start = true;
    }
    services_->note_start();
    put_or_discard(*run);
    {
      const std::lock_guard lock(mutex_);
      self.is_in_start = false;
      if (current_ != &self) {
        if (!is_over_) post({Message::Kind::kSettled, {}, number, {}});
        return false;
      }
      in_start_since_ = kNever;
    }
    settled(number);
  }
  return true;
}

// The loop may be another thread's meanwhile, and the ending belongs to that.
void Spawner::put_or_discard(Unsettled& run) {
  if (!run.counts) return run.files.discard();
  try {
    run.put = run.files.put(run.watch);
  } catch (const std::exception& error) {  // no memory
    run.files.discard();
    run.no_memory = error.what();
  }
}

void Spawner::settled(std::uint32_t number) {
  const auto found = unsettled_.find(number);
  const std::shared_ptr<Unsettled> run = std::move(found->second);
  unsettled_.erase(found);
  if (run->lost) return report(run->place, std::move(run->ending));  // all else has been said
  if (!run->no_memory.empty()) {
    run->ending.how = AttemptEnd::kNoResources;
    run->ending.outcome.message = run->no_memory;
  } else if (run->put && run->put->given_up) {
    return report(run->place, given_up(*run, *std::move(run->put)));
  } else if (run->put) {
    OutputFiles::say(*std::move(run->put), run->ending.outcome);
  }
  report(run->place, std::move(run->ending));
}

// ---- files that do not get into their places ----

void Spawner::look_at_unsettled(Time now) {
  for (auto& [number, run] : unsettled_) {
    if (run->look_at <= now) look_at_files(*run, now);
    next_wake_ = std::min(next_wake_, run->look_at);
  }
}

void Spawner::look_at_files(Unsettled& run, Time now) {
  if (run.reason != Reason::kByItself) {  // its thread has not come back: its slot stays in use until it does
    AttemptEnded ending = given_up(run, {});
    drop_unwanted(ending.outcome);
    run.ending = {ending.token, AttemptEnd::kStopped, {}, ending.ran};
    ending.slot_lost = true;
    endings_.push_back(std::move(ending));
    in_a_hurry_ = true;
    run.lost = true;
    run.look_at = kNever;
    return;
  }
  if (run.kill_at <= now) return give_up_files(run, Reason::kStopped, now);
  const std::uint64_t steps = run.watch.steps.load();
  if (std::exchange(run.steps_seen, steps) == steps) return give_up_files(run, Reason::kTimeout, now);
  run.look_at = std::min(run.kill_at, now + services_->run->options.files_patience);
}

void Spawner::give_up_files(Unsettled& run, Reason reason, Time now) {
  run.reason = reason;
  run.watch.given_up = true;
  run.look_at = now + kGivenUp;
}

// The ending of a run whose files have been given up. `put`: what became of them, as far as it is known.
AttemptEnded Spawner::given_up(Unsettled& run, OutputFiles::Put&& put) const {
  AttemptEnded ending = std::move(run.ending);
  if (!run.counts) return ending;
  if (run.reason == Reason::kStopped) return {ending.token, AttemptEnd::kStopped, {}, ending.ran};
  put.problem = "its output did not get into its place, " + printable(run.shown, kShownBytesMost) +
                ": the disk did nothing for " + format_duration(services_->run->options.files_patience);
  OutputFiles::say(std::move(put), ending.outcome);
  return ending;
}

}  // namespace workpool::worker
