// SPDX-License-Identifier: MIT
// What a seed stands for: the jobs and what each does when it runs, the workers, and which faults happen how
// often. Each seed has its own mixture ("swarm"): a few kinds of fault often, the others never.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "common/base/job.h"
#include "dispatcher/core/job_facts.h"
#include "dispatcher/core/stop_rule.h"
#include "tests/simulation/random.h"
#include "tests/simulation/timeline.h"

namespace workpool::simulation {

struct JobPlan {
  dispatcher::JobFacts facts;
  std::string work;
  Requirement requirement;
  Duration run{0};
  std::uint32_t fails = 0;  // so many executions fail before one is ok
  bool hangs = false;       // runs until its timeout
  bool stubborn = false;    // a handler whose thread stays when its timeout is over
  bool poison = false;      // kills its engine
  bool by_signal = false;   // a command that a signal ends, the first time
  bool satisfiable = true;
  Duration appears{0};   // of a stream
  bool invalid = false;  // of a stream: a line that is no job
};

struct WorkerPlan {
  std::string name;
  std::uint32_t slots = 1;
  std::vector<std::string> handlers;
  std::vector<std::string> labels;
  Clock clock;
  Duration latency{0};
  Duration jitter{0};
  Duration a_part{0};  // how long 64 KiB take on its line
  Duration orphan_grace = seconds(60);
  Duration grace = seconds(25);
  Duration starts{0};  // after the beginning
  // Whatever runs there fails at once, until `mended`.
  bool bad = false;
  bool cannot_start = false;  // because the program is not there
  Duration mended{0};
  std::optional<Duration> lifetime{};  // leaves before so long is over, each time that it has started
  std::optional<Duration> idle{};
  // After so long one of its handlers stops for good. Somebody starts the worker afresh so long after that;
  // 0: nobody does.
  std::string stops_handler{};
  Duration stops_after{0};
  Duration started_afresh{0};
};

enum class Fault : std::uint8_t {
  kCut,
  kCutLane,
  kCutSink,
  kStallUp,
  kStallDown,
  kStallBoth,
  kEngineKill,
  kWorkerKill,
  kPauseWorker,
  kPauseDispatcher,
  kCrash,
  kSlowDisk,
  kNoSpace,
  kDrain,
  kLateLane,
  kForge,
  kSignal,
  kNoResources,
  kLoseDown,
  kLoseUp,
  kCrossLane,
  kImpostor,  // somebody speaks for a session, or with the id of a worker, whose key he does not have
  kRevoke,    // a worker's key is taken back; it is started again with a new one
};
inline constexpr std::size_t kFaults = 23;
const char* name_of(Fault fault);

struct Setup {
  std::uint64_t seed = 0;
  bool streaming = false;
  bool listening = false;
  Duration worker_timeout = seconds(10);
  Duration grace = seconds(30);
  Duration unsatisfiable_after = seconds(20);
  std::uint32_t crash_limit = 3;
  dispatcher::StopRule stop;
  Clock clock;  // the dispatcher's
  std::vector<JobPlan> jobs;
  std::vector<WorkerPlan> workers;
  std::array<std::uint32_t, kFaults> weights{};  // 0 = never
  Duration between_faults{0};
  Duration healed{0};         // from then on nothing more goes wrong
  bool lanes_reused = false;  // a stale worker may reach another one's lane

  bool has(Fault fault) const { return weights[static_cast<std::size_t>(fault)] > 0; }
  bool any_fault() const;
  // Only what the dispatcher does to itself: no worker may lose anything by it (S8).
  bool only_own_faults() const;
  // No session is lost, unless the dispatcher crashes.
  bool loses_no_worker() const;
};

Setup make_setup(std::uint64_t seed);

}  // namespace workpool::simulation
