// SPDX-License-Identifier: MIT
#include "worker/io/runner/command_executor.h"

#include <unistd.h>

#include <algorithm>

#include "common/io/cores.h"
#include "common/io/threads.h"
#include "worker/io/runner/spawner.h"

namespace workpool::worker {
namespace {

constexpr Duration kLookEvery = milliseconds(25);
constexpr int kLooksBeforeSleep = 40;  // with no start since: a second

MakeStarter usual_starters(const std::shared_ptr<const RunServices>& services) {
  auto from = std::make_shared<const StartingPoint>(environ, services->options);
  return [services, from] { return std::make_unique<CommandStarter>(services, from); };
}

}  // namespace

CommandExecutor::CommandExecutor(const std::shared_ptr<RunServices>& services)
    : CommandExecutor(services, usual_starters(services)) {}

CommandExecutor::CommandExecutor(std::shared_ptr<RunServices> services, MakeStarter make_starter)
    : services_(std::make_shared<CommandServices>(std::move(services), std::move(make_starter))) {
  const std::uint32_t count = std::max(1U, std::min(usable_cores(), services_->run->options.slots));
  services_->table.set_spawners(count);
  services_->run->residents.ask_also([commands = std::weak_ptr(services_)] {
    const auto running = commands.lock();
    return running == nullptr ? kNever : running->table.oldest_start();
  });
  watch_ = start_thread([this] { watch_starts(); });
  try {
    for (std::uint32_t i = 0; i < count; ++i) {
      auto spawner = std::make_shared<Spawner>(services_);
      spawner->open();
      const std::lock_guard lock(services_->mutex);
      spawners_.push_back(std::move(spawner));
    }
  } catch (...) {
    stop_watching();
    for (const auto& spawner : spawners_) spawner->close();
    throw;
  }
}

CommandExecutor::~CommandExecutor() {
  services_->table.forget_waiting();
  // All at once, so that we wait only once for processes that take long to die and starts that hang.
  for (const auto& spawner : spawners_) spawner->begin_to_close();
  for (const auto& spawner : spawners_) spawner->close();
  stop_watching();
}

void CommandExecutor::stop_watching() {
  {
    const std::lock_guard lock(services_->mutex);
    services_->closing = true;
    services_->watch.notify_one();
  }
  watch_.join();
  const std::lock_guard lock(
      services_->mutex);  // for ThreadSanitizer, which does not see the join inside libstdc++
}

void CommandExecutor::start(std::vector<StartAttempt>&& attempts) {
  for (StartAttempt& attempt : attempts) {
    if (auto placed = services_->table.enter(std::move(attempt)))
      spawners_[placed->spawner]->start(std::move(placed->attempt));
  }
}

void CommandExecutor::kill(std::uint64_t token, KillWhen when) {
  std::uint32_t spawner = 0;
  switch (services_->table.find(token, true, spawner)) {
    case CommandTable::Where::kNowhere:
      return;
    case CommandTable::Where::kWaits:
      services_->run->deliver_one({token, AttemptEnd::kNotStarted, {}, Duration(0)});
      return;
    case CommandTable::Where::kAtSpawner:
      // An attempt that a spawner has counts as begun.
      if (when != KillWhen::kUnlessBegun) spawners_[spawner]->kill(token, when == KillWhen::kAtOnce);
      return;
  }
}

// Sleeps while nothing is started.
void CommandExecutor::watch_starts() {
  std::uint64_t seen = 0;
  int quiet_looks = 0;
  std::unique_lock lock(services_->mutex);
  while (!services_->closing) {
    if (quiet_looks < kLooksBeforeSleep) {
      services_->watch.wait_for(lock, kLookEvery);
    } else {
      services_->watch_sleeps = true;
      if (services_->starts == seen) services_->watch.wait(lock);
      services_->watch_sleeps = false;
    }
    if (services_->closing) return;
    bool in_start = false;
    for (const auto& spawner : spawners_) in_start = spawner->free_if_stuck(boot_time()) || in_start;
    quiet_looks = services_->starts == seen && !in_start ? quiet_looks + 1 : 0;
    seen = services_->starts;
  }
}

}  // namespace workpool::worker
