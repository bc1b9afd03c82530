// SPDX-License-Identifier: MIT
// Runs commands, on spawner threads. A start may take as long as a file server likes: a spawner that has been
// in one for over 50 ms goes on with another thread, and the one that waits comes back to it when it can.
// Nothing but that one job is held up, and the usual start costs no hand-over between threads (one would be a
// tenth of a short command).
#pragma once

#include <memory>
#include <thread>
#include <vector>

#include "worker/io/runner/command_services.h"
#include "worker/io/runner/executor.h"

namespace workpool::worker {

class Spawner;

class CommandExecutor : public Executor {
 public:
  // Throws std::system_error if the system has no room.
  explicit CommandExecutor(const std::shared_ptr<RunServices>& services);
  CommandExecutor(std::shared_ptr<RunServices> services, MakeStarter make_starter);
  // Kills what runs (KILL), waits until it is gone or given up, and joins; a thread in a start that does not
  // come back is left to itself.
  ~CommandExecutor() override;
  CommandExecutor(const CommandExecutor&) = delete;
  CommandExecutor& operator=(const CommandExecutor&) = delete;

  void start(std::vector<StartAttempt>&& attempts) override;
  void kill(std::uint64_t token, KillWhen when) override;

 private:
  void watch_starts();
  void stop_watching();

  const std::shared_ptr<CommandServices> services_;
  std::vector<std::shared_ptr<Spawner>> spawners_;
  std::thread watch_;
};

}  // namespace workpool::worker
