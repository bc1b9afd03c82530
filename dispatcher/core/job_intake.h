// SPDX-License-Identifier: MIT
// What becomes of jobs that come one by one, from a pipe: each gets its id and is to be run, or is done
// already, or cannot be told from one that came before. Pure.
//
// Beside results that can be resumed, ids are those of a file: unique in the run, and a digest of the work
// for a job without one, so that the same jobs resume whatever their lines are. Otherwise nothing is kept of
// a job that is recorded, so that a run may go on forever: its id may come again, and without one it is
// called L<line>.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "dispatcher/core/job_facts.h"
#include "dispatcher/core/job_register.h"

namespace workpool::dispatcher {

class JobIntake {
 public:
  // `ids` outlives it. `retry_failed`: only what is ok counts as done.
  JobIntake(JobRegister& ids, bool resumable, bool retry_failed)
      : ids_(ids), resumable_(resumable), retry_failed_(retry_failed) {}

  struct ToRun {};
  struct Done {
    JobRegister::Past past;
  };
  struct Refused {
    std::string message;
  };
  // Fills in id, repeat and key; what is refused keeps the id L<line>, and no key. REQUIRES: line and spec
  // are set, and the id if the line gives one.
  std::variant<ToRun, Done, Refused> take(JobFacts& facts);
  // A job that was to be run is recorded. `facts`: as take() left them; a job that was refused is none.
  void recorded(const JobFacts& facts);

 private:
  JobRegister& ids_;
  bool resumable_;
  bool retry_failed_;
};

}  // namespace workpool::dispatcher
