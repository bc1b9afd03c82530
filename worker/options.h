// SPDX-License-Identifier: MIT
// What the command line of workpool-worker says, checked and with defaults (docs/reference.md, "Flags").
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/address.h"
#include "common/base/keys.h"
#include "common/base/time.h"
#include "common/formats/handler_program.h"

namespace workpool::worker {

// How long to go on without a dispatcher; Duration::max() = forever ("inf"), 0 = leave at once.
struct OrphanGrace {
  Duration after_contact = seconds(60);      // once it had a dispatcher
  Duration first_contact = Duration::max();  // before it ever had one; --orphan-grace rules both
};

class HandlerRegistry;

// What a program that is linked with the library brings along; workpool-worker has nothing of it.
struct OwnCode {
  std::shared_ptr<const HandlerRegistry> handlers;  // the built-in ones among them; null: those alone
  std::function<void()> at_start{};                 // in each engine, before its first job; may be empty
  std::string wrong{};                              // what is wrong with its handlers, for people
};

struct WorkerOptions {
  Address dispatcher;                    // where to register
  std::uint32_t slots = 1;               // --slots, or the cores that may be used
  std::string name;                      // --name, or the host's; printable UTF-8, 1 to 64 bytes
  std::vector<std::string> labels;       // sorted, without repeats
  std::vector<HandlerProgram> handlers;  // --handler
  std::uint32_t handler_jobs = 0;        // that one child of them is given; 0 = no limit
  bool insecure = false;                 // may dial a dispatcher without keys
  std::optional<std::string> key_file;   // --key
  std::shared_ptr<const JoinKey> key;    // what main found; null: none
  OrphanGrace orphan_grace;
  Duration grace = seconds(25);  // for running jobs after a first SIGTERM
  bool keep = false;             // when the run is over, wait for the next one
  std::optional<Duration> idle;  // leave if there was nothing to do for so long
  // How long the worker may stay; Duration::max() = forever ("inf"), whatever SLURM says.
  std::optional<Duration> lifetime;
  std::optional<Time> leave_at;    // what main makes of it
  std::string log_level = "auto";  // info, in words if stderr is a terminal
  bool allow_new_privs = false;    // jobs may gain rights through setuid programs
  bool allow_root = false;         // no word about jobs that run as root
  std::uint64_t core_bytes = 0;    // the caller's soft limit on core dumps, for the jobs; set by main

  OwnCode own;

  // Only for a local worker; set by its dispatcher.
  int parent_fd = -1;  // end of file: the dispatcher is gone, stop now
  int lock_fd = -1;    // kept open while supervisor or engine lives: the lock on RESULTS
  bool local() const { return parent_fd != -1; }
};

}  // namespace workpool::worker
