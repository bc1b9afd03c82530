// SPDX-License-Identifier: MIT
// Where the jobs of a run come from: a jobs file that was indexed, a pipe, later a client. A source reports
// its jobs to the scheduler by events and has their ids in the run's JobRegister, so that neither loop nor
// scheduler knows which source it is.
#pragma once

#include <vector>

#include "dispatcher/core/facts.h"

namespace workpool::dispatcher {

// The work of a job, for people: as JobView has it, or empty if its line is another one now.
struct DescribedJob {
  JobNumber number = 0;
  SharedBytes work;
};

// All calls come from the loop's thread and never block.
class JobSource {
 public:
  virtual ~JobSource() = default;

  // Appends what has happened since the last call, in its order: JobsLoaded and JobsFileChanged of a file;
  // JobArrived, InvalidLine, AlreadyDone, InputEnded and InputBroken of what comes one by one.
  virtual void take(std::vector<Event>& events) = 0;
  // Asks for these jobs' payloads (Load). Only a file is asked, since only its jobs leave their payload in
  // the source.
  virtual void load(const std::vector<JobNumber>& numbers) = 0;
  // Asks for the work of one job, of a few in the whole run; described() has it later. Only a file is asked
  // here, too.
  virtual void describe(JobNumber /*number*/) {}
  virtual std::vector<DescribedJob> described() { return {}; }
  // A job or a bad line that this source has reported is recorded, so nothing more happens to it.
  virtual void recorded(const JobFacts& facts) = 0;
};

}  // namespace workpool::dispatcher
