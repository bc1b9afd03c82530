// SPDX-License-Identifier: MIT
// From an order to a process: the work is parsed, pipes and environment are made, the program is looked up
// and spawned.
#pragma once

#include <memory>
#include <string>
#include <variant>

#include "common/formats/jobs_file.h"
#include "worker/io/process/command.h"
#include "worker/io/process/spawn.h"
#include "worker/io/runner/run_services.h"

namespace workpool::worker {

// The machine has no room for a process now; nothing runs.
struct NoResources {
  int error = 0;  // errno
};
// It cannot be started; the outcome says why.
struct CannotStart {
  Outcome outcome;
};

using CommandStart = std::variant<std::unique_ptr<Command>, CannotStart, NoResources>;

// One per spawner thread.
class CommandStarter {
 public:
  // Throws std::system_error where the system has no room.
  explicit CommandStarter(const RunServices& services);

  CommandStart start(const StartAttempt& order);

 private:
  const RunServices& services_;
  Launcher launcher_;
  WorkParser parser_;
  Descriptor null_;                // /dev/null, the stdin of jobs that are given none
  Descriptor starting_directory_;  // where the process was at the start, whatever a handler does to that
  rlimit descriptor_limit_{};
};

}  // namespace workpool::worker
