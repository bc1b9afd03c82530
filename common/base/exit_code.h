// SPDX-License-Identifier: MIT
// The exit codes of the two programs: one number per reason, from sysexits.h if it has one. Users rely on
// docs/reference.md, "Exit codes", which a test compares with this list. Pure.
#pragma once

namespace workpool {

enum class ExitCode : int {
  kOk = 0,
  kNotAllOk = 1,   // some jobs have no result that is ok; verify: RESULTS is not complete; keygen: refused
  kUsage = 2,      // wrong flags or arguments
  kBadInput = 65,  // JOBS cannot be read or holds errors, or changed during the run
  kDispatcherGone = 69,  // worker: no dispatcher for --orphan-grace
  kSystem = 71,          // the system refuses what is needed: an address, a process, /proc
  kForeignResults = 73,  // RESULTS belongs to another jobs file
  kResultsFailed = 74,   // RESULTS, a key file, or an answer on stdout cannot be written
  kResultsInUse = 75,    // another run has RESULTS open
  kWrongProtocol = 76,   // worker: the dispatcher speaks another protocol version
  kRefused = 77,         // worker: the dispatcher refused it for another reason
  kUnsafe = 78,          // an address beyond loopback without --insecure; a key file that cannot be trusted
  kInterrupted = 130,    // SIGINT, with jobs left
  kTerminated = 143,     // SIGTERM or SIGHUP, with jobs left
};

// What exit() and main() take.
constexpr int exit_status(ExitCode code) { return static_cast<int>(code); }

}  // namespace workpool
