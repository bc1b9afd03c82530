// SPDX-License-Identifier: MIT
// Finds the processes of a job. What a job starts stays below the job's process; when a process on the way
// dies, its children become children of the engine, which is a child subreaper ("adopted"). So the processes
// of a job are the tree below its own process and the trees below those adopted ones that have its session or
// carry its attempt key in their environment. /proc as a whole is never walked: a job that left nothing
// behind costs one read of 1 us.
#pragma once

#include <sys/types.h>

#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/time.h"
#include "common/io/descriptor.h"

namespace workpool::worker {

// What this file needs and the system lacks, in one line for people; empty if nothing is missing. Called
// once, at the start of the worker: an engine that found it out would die again and again.
std::string missing_for_process_trees();

// How the processes of one job are recognised.
struct JobProcesses {
  pid_t leader = 0;           // the job's own process, also the number of its session
  bool leader_lives = false;  // it has not been waited for
  std::string_view attempt_key;
};

// The engine's view; safe from any thread. REQUIRES: this process is a child subreaper
// (PR_SET_CHILD_SUBREAPER), its SIGCHLD is not ignored, and its main thread lives on and starts no process of
// its own: the kernel gives every adopted process to the main thread, those of spawner threads are listed
// with these.
class ProcessTree {
 public:
  // Throws std::system_error if /proc does not list children: what escaped could not be found then.
  ProcessTree();

  // Whether there is any adopted process, dead ones included.
  bool has_adopted() const;
  // The living processes of `job`; empty means that none is left. Some may be dead when this returns. Adopted
  // ones that are dead are reaped on the way, by their pid. If so many die meanwhile that this cannot be
  // sure, it returns one that has just died, so whoever waits for the last one looks again.
  std::vector<pid_t> members(const JobProcesses& job);
  // Reaps adopted processes that are dead.
  void reap();
  // Kills the adopted processes that are older than every running command, with all below them: the job that
  // they came from must have ended. `oldest` returns when the oldest running command was started (kNever if
  // none runs) and is called after the processes have been listed.
  void kill_strays(const std::function<Time()>& oldest);

 private:
  // Which job an adopted process came from. This cannot change until the process is reaped.
  struct Origin {
    std::string attempt_key;  // empty = none found
    bool read = false;
  };

  std::vector<pid_t> adopted() const;
  bool belongs(pid_t pid, const JobProcesses& job);
  // Appends the adopted ones of `job` to `roots`. Returns one that was dead and is reaped now; 0 if all live.
  pid_t add_adopted(const JobProcesses& job, std::vector<pid_t>& roots);

  Descriptor children_of_main_;  // /proc/self/task/<main>/children, read from its start each time
  std::mutex mutex_;
  std::unordered_map<pid_t, Origin> origins_;
};

// Sends TERM, then CONT, to each.
void terminate(const std::vector<pid_t>& pids);
// Sends KILL to each. Returns how many we may not kill: another user's, for example started by sudo.
std::size_t kill_now(const std::vector<pid_t>& pids);

// The children of this process, dead ones included.
std::vector<pid_t> children_of_self();

// Kills every process below this one, with KILL, until none is left that we may kill or `limit` has passed;
// returns whether none is left. Reaps only with `reap`, since the waits of other threads must find their
// children. The children in `but` are left alone, with everything below them.
bool kill_descendants_of_self(Duration limit, bool reap, const std::vector<pid_t>& but = {});

}  // namespace workpool::worker
