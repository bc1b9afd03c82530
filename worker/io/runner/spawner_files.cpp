// SPDX-License-Identifier: MIT
// What a spawner does with the output files of a run that is over: reads them for their digest and puts them
// into their places. A large file or a slow disk must not hold up the other runs, so it counts as a start:
// if it takes too long, the loop goes on in another thread. The rest of the spawner is in spawner.cpp.
#include <exception>
#include <utility>

#include "worker/io/runner/spawner.h"

namespace workpool::worker {
namespace {

// Only what has ended by itself or by its timeout counts, and only if nothing can write into it any more.
void put_or_discard(AttemptEnded& ending, OutputFiles& files) {
  const bool counts = ending.how == AttemptEnd::kOutcome || ending.how == AttemptEnd::kDoubtful;
  if (!counts || !ending.alive.empty()) return files.discard(ending.outcome);
  try {
    files.put(ending.outcome);
  } catch (const std::exception& error) {  // no memory
    files.discard(ending.outcome);
    ending.how = AttemptEnd::kNoResources;
    ending.outcome.message = error.what();
  }
}

}  // namespace

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
    put_or_discard(run->ending, run->files);
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

void Spawner::settled(std::uint32_t number) {
  const auto found = unsettled_.find(number);
  const std::shared_ptr<Unsettled> run = std::move(found->second);
  unsettled_.erase(found);
  report(run->place, std::move(run->ending));
}

}  // namespace workpool::worker
