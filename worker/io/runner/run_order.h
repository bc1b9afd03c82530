// SPDX-License-Identifier: MIT
// What the engine hands to the runner, and what comes back from it: the values that all parts of the runner
// share.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/outcome.h"
#include "common/base/time.h"
#include "worker/io/process/shared_page.h"

namespace workpool::worker {

struct RunOrder {
  std::uint64_t token = 0;  // chosen by the caller, unique among the jobs that run
  std::string id;           // the full id, for WORKPOOL_JOB_ID
  Key key;                  // goes into the shared page while it runs
  std::uint32_t attempt = 0;
  std::string work;     // compact JSON, parsed here (common/formats/jobs_file.h, WorkParser)
  Duration timeout{0};  // 0 = none
};

enum class EndKind : std::uint8_t {
  kOutcome,      // ran: outcome holds
  kNotStarted,   // the lease had lapsed, or kill() came, before it was started; nothing ran
  kStopped,      // killed by kill(), gone with all its descendants; nothing to report
  kNoResources,  // EMFILE, ENFILE, EAGAIN, ENOMEM at the spawn: outcome.message says which; nothing ran
  kEndedByStop,  // a command that died of HUP, INT, TERM or KILL that its timeout did not send: `outcome`
                 // holds its failure; the engine returns it instead if a stop has arrived or arrives within
                 // 250 ms
};

struct Ending {
  std::uint64_t token = 0;
  EndKind kind = EndKind::kOutcome;
  Outcome outcome;
  Duration ran{0};
  bool slot_lost = false;  // a handler at its timeout, or at the end of the grace after kill(): reported, but
                           // its thread has not come back yet; a second Ending with kind kStopped and the
                           // same token follows when it does
  std::vector<pid_t> alive{};  // of a command: processes that could not be killed; nobody waits for them
};

struct RunnerOptions {
  std::uint32_t slots = 1;  // threads of the handler pool; spawners = min(cores, slots)
  std::uint64_t capture_bytes = 64 * 1024;
  // Between TERM and KILL; of a handler, from its stop token to a lost slot.
  Duration kill_grace = seconds(5);
  std::string starting_directory;  // children without cwd start here; empty = where the process is now
  std::uint64_t job_descriptors =
      0;  // soft limit on open descriptors for children (limits.h); 0 = this process's own
  SharedPage* page = nullptr;  // outlives the runner; start records go there
};

}  // namespace workpool::worker
