// SPDX-License-Identifier: MIT
// Runs jobs for the engine: commands on spawner threads, handlers on the thread pool (architecture.md §5).
// The engine's loop thread calls start() and kill(); endings come back through a callback from the threads of
// the runner, batched. One runner a process, which becomes a child subreaper by it and whose main thread must
// start no process of its own (process_tree.h). Every job takes the same way: lease check, start record, run,
// end record, ending.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/ids.h"
#include "common/outcome.h"
#include "common/time.h"
#include "worker/io/shared_page.h"

namespace workpool::worker {

struct RunOrder {
  std::uint64_t token = 0;  // chosen by the caller, unique among the jobs that run
  std::string id;           // the full id, for WORKPOOL_JOB_ID
  Key key;                  // goes into the shared page while it runs
  std::uint32_t attempt = 0;
  std::string work;     // compact JSON, parsed here (common/jobs_file.h, WorkParser)
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

class Runner {
 public:
  // `ended` is called from runner threads with one or more endings, one call at a time; it must be quick (a
  // mailbox). Threads inherit the caller's signal mask. Throws std::system_error where the system has no
  // room.
  Runner(const RunnerOptions& options, std::function<void(std::vector<Ending>&&)> ended);
  // Kills what runs (KILL) and joins its threads, those of handlers that do not return within a second
  // excepted. `ended` is not called any more.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Jobs are started in order; the caller keeps the count of slots. Orders for handlers beyond the threads of
  // the pool wait their turn in it, commands beyond the slots for the end of another. Never blocks.
  void start(std::vector<RunOrder>&& orders);
  // TERM and CONT to every process of the job, KILL after the grace; sets a handler's stop token. Ends in
  // kStopped, or kNotStarted. With `now`, KILL at once. A job that has timed out, or whose own process has
  // ended, keeps its outcome and is only hurried. Unknown tokens are ignored (it has just ended).
  void kill(std::uint64_t token, bool now);
  // A handler that waits for a thread, or a command for a slot, ends in kNotStarted. Anything else goes on,
  // also a command that a spawner has and is about to start.
  void unstart(std::uint64_t token);
  // CLOCK_BOOTTIME in microseconds until which jobs may be started; asked right before each start.
  void set_lease(Time until);
  // WELCOME names it; takes effect for jobs started afterwards.
  void set_capture(std::uint64_t bytes);

  // The handler types that it runs, sorted.
  static std::vector<std::string> handler_types();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace workpool::worker
