// SPDX-License-Identifier: MIT
// What becomes of jobs that come one by one, from a pipe: each gets its id and is to be run, or is done
// already, or cannot be told from one that came before. Pure.
//
// If the results can be resumed, ids work as in a file: they are unique in the run, and a job without one
// gets a digest of its work, so that the same jobs resume whatever their lines are. Otherwise nothing is kept
// of a recorded job, so that a run may go on forever: its id may come again, and a job without one is called
// L<line>.
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
  // A line that is no job, or was refused. Returns whether an earlier start has recorded it: the same text so
  // many times, whatever the lines are. There is nothing in it to try again.
  bool recorded_before(const Spec& digest) { return ids_.admit_invalid(digest); }
  // A job that was to be run is recorded. `facts`: as take() left them; a job that was refused is none.
  void recorded(const JobFacts& facts);

 private:
  JobRegister& ids_;
  bool resumable_;
  bool retry_failed_;
};

}  // namespace workpool::dispatcher
