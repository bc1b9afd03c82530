// SPDX-License-Identifier: MIT
// Starts one process the way Go's runtime does: clone with CLONE_VM | CLONE_VFORK on a stack of its own, so
// that its cost does not grow with the engine (fork costs 54 ms from an engine of 1 GiB). Between clone and
// exec the child runs in the parent's memory: only raw system calls there, nothing allocated, nothing locked.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/io/descriptor.h"

namespace workpool::worker {

// Everything the child needs, made before the clone. Pointers stay the caller's, who keeps them until spawn()
// returns.
struct SpawnRequest {
  char* const* argv = nullptr;  // ends with a null pointer, as envp and programs do
  char* const* envp = nullptr;
  const char* const* programs = nullptr;  // files to try in order, as a look-up in PATH does; at least one
  int starting_fd =
      -1;  // a directory, O_PATH, changed to first; if it cannot be entered, the child stays where it is
  const char* directory = nullptr;
  int standard_input = -1;  // these three are >= 3
  int standard_output = -1;
  int standard_error = -1;
  rlimit descriptor_limit{};  // these two are given to the child if rlim_cur is not 0
  rlimit core_limit{};
  // Whether its programs may gain rights that we do not have (setuid, file capabilities).
  bool new_privs = false;
  // The kernel writes the pidfd here as soon as there is a process, before its program runs, so that another
  // thread can end a start that hangs. May be null. The descriptor belongs to the result.
  int* pidfd = nullptr;
};

enum class SpawnStep : std::uint8_t {
  kNone,
  kClone,
  kSession,
  kDirectory,
  kDescriptors,
  kInterpreter,  // the program is there, what it names in `#!` (or its loader) is not
  kExec,
};

struct Spawned {
  pid_t pid = -1;
  Descriptor pidfd;
  SpawnStep failed =
      SpawnStep::kNone;  // else what failed, why, and at which of `programs`; nothing runs then
  int error = 0;
  std::size_t program = 0;

  bool is_running() const { return failed == SpawnStep::kNone; }
  // The machine has no room (EMFILE, ENFILE, EAGAIN, ENOMEM): no fault of the job.
  bool lacks_resources() const;
};

// One per thread that spawns: owns the stack that its children start on.
class Launcher {
 public:
  // Notes which signals are handled or ignored in this process; that must not change while it is used. (To
  // reset all 62 in each child was a fifth of its way to exec.) Throws std::system_error if there is no
  // memory for the stack.
  Launcher();
  ~Launcher();
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;

  // Returns when the child has executed its program or failed to; a failed child is already reaped. The child
  // has a session of its own, an empty signal mask, every disposition at its default and descriptors 0 to 2
  // only. The kernel kills it if the calling thread dies (the last resort if supervisor and engine die
  // together).
  Spawned spawn(const SpawnRequest& request);

 private:
  void* stack_ = nullptr;
  std::vector<int> signals_;
};

// Whether errno `error` means that the machine has no room.
bool is_lack_of_resources(int error);

// Both ends close-on-exec and >= 3, so that dup2 to 0..2 in a child never meets them, even if the worker
// was started with closed standard streams. False with errno set if there are no descriptors.
struct Pipe {
  Descriptor read;
  Descriptor write;
};
bool make_pipe(Pipe& pipe);

// Moves `fd` to 3 or above if it is below. Returns -1 if `fd` is -1 or cannot be moved.
Descriptor lifted(int fd);

}  // namespace workpool::worker
