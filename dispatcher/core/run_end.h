// SPDX-License-Identifier: MIT
// How a run ended, and what that means for the exit code. The core names the cause; the terminal words it
// (dispatcher/io/terminal/summary). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "common/base/exit_code.h"

namespace workpool::dispatcher {

// The signal that a run was stopped by.
enum class StopKind : std::uint8_t { kInterrupt, kTerminate, kHangup };

// Every job has a record.
struct AllRecorded {
  bool all_ok = true;
};
// No worker can run the jobs that are left, and none came for --unsatisfiable-after.
struct NobodyFits {};
// A signal came while jobs were left.
struct Stopped {
  StopKind by = StopKind::kInterrupt;
};
// JOBS was written to or replaced during the run. `line`: the first one seen to differ; 0 if that was seen
// only by the look at the end.
struct JobsChanged {
  std::uint64_t line = 0;
};
// As many jobs of this start are not ok as --max-fails allows.
struct TooManyNotOk {
  std::uint64_t not_ok = 0;
  std::uint64_t ended = 0;  // of so many
  std::uint64_t limit = 0;  // a number of jobs, or with `percent` a part of those that have ended
  bool percent = false;
};
// As many jobs of the run are ok as --until-ok asks for; how the others ended does not matter.
struct EnoughOk {
  std::uint64_t wanted = 0;
  bool early = true;  // jobs are left
};
// Every job has a record, and fewer are ok than --until-ok asks for.
struct TooFewOk {
  std::uint64_t wanted = 0;
};
// The pipe that jobs come from cannot be read any further. The problem was reported when it occurred.
struct JobsUnreadable {};
// The local worker cannot work here and nobody else may come. `problem`: what it said.
struct NoLocalWorker {
  std::string problem;
};
// RESULTS cannot be written. `error`: errno; ESTALE if it was removed, replaced or cut short.
struct ResultsLost {
  int error = 0;
};

using RunEnd = std::variant<AllRecorded, NobodyFits, Stopped, JobsChanged, JobsUnreadable, NoLocalWorker,
                            ResultsLost, TooManyNotOk, EnoughOk, TooFewOk>;

ExitCode exit_code_of(const RunEnd& end);

// What is looked at once more when everything is over, since a result in a file that was removed, and a job
// that was added to JOBS, would otherwise be missed.
struct LastLook {
  bool results_in_place = true;
  bool jobs_unchanged = true;
};
// Whether that look can change the end.
bool needs_last_look(const RunEnd& end);
// The end that counts. A run that ended for another reason keeps that reason.
RunEnd after_last_look(RunEnd end, const LastLook& look);

}  // namespace workpool::dispatcher
