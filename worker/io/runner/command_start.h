// SPDX-License-Identifier: MIT
// Makes a process of an attempt: parses the work, makes pipes and environment, looks the program up and
// spawns it.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "common/formats/jobs_file.h"
#include "worker/io/process/child_environment.h"
#include "worker/io/process/command.h"
#include "worker/io/process/spawn.h"
#include "worker/io/runner/run_services.h"

namespace workpool::worker {

// The machine has no room for a process now; nothing runs.
struct NoResources {
  std::string reason;
};
// It cannot be started; the outcome says why.
struct CannotStart {
  Outcome outcome;
};

using CommandStart = std::variant<std::unique_ptr<Command>, CannotStart, NoResources>;

// A start in progress. It takes as long as its open, chdir and exec do, forever if a file server does not
// answer. Another thread may kill the process that waits there.
class StartUnderWay {
 public:
  // The starting thread, before and after spawn(). The kernel writes the pidfd as soon as there is a process.
  int* begin() {
    const std::lock_guard lock(mutex_);
    pidfd_ = -1;
    return &pidfd_;
  }
  void end() {
    const std::lock_guard lock(mutex_);
    pidfd_ = -1;
  }
  // Any thread: KILL to its process, if there is one.
  void kill();

 private:
  std::mutex mutex_;
  int pidfd_ = -1;
};

// One per thread that starts commands.
class Starter {
 public:
  virtual ~Starter() = default;
  // May take forever. May throw std::bad_alloc and std::system_error; nothing runs then.
  // `slot`: from 1, which no other attempt of the worker has at the same time.
  virtual CommandStart start(const StartAttempt& attempt, std::uint32_t slot, StartUnderWay& under_way) = 0;
};

// Random letters that nobody guesses: the first part of an attempt key.
std::string random_key();
// As exec wants it. REQUIRES: `texts` outlives it.
std::vector<char*> pointers_to(std::vector<std::string>& texts);

// What all starters of a runner share; made once.
struct StartingPoint {
  // Throws std::system_error if the system has no room.
  StartingPoint(char* const* environ_of_worker, const RunnerOptions& options);

  const InheritedEnvironment environment;
  Descriptor null;       // /dev/null, the stdin of jobs that are given none
  Descriptor directory;  // where the process was at the start, whatever a handler does to that
  rlimit descriptor_limit{};
  rlimit core_limit{};
  bool new_privs = false;
};

class CommandStarter : public Starter {
 public:
  // Throws std::system_error if the system has no room.
  CommandStarter(std::shared_ptr<const RunServices> services, std::shared_ptr<const StartingPoint> from)
      : services_(std::move(services)), from_(std::move(from)) {}

  CommandStart start(const StartAttempt& attempt, std::uint32_t slot, StartUnderWay& under_way) override;

 private:
  const std::shared_ptr<const RunServices> services_;
  const std::shared_ptr<const StartingPoint> from_;
  Launcher launcher_;
  WorkParser parser_;
};

}  // namespace workpool::worker
