// SPDX-License-Identifier: MIT
// Reads lines of an indexed jobs file again when their jobs are to be dispatched, in a thread of its own and
// through the same descriptor. Each line is compared with the index, so that a file that changes during the
// run is noticed and not run.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "common/base/ids.h"
#include "dispatcher/core/job_facts.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/io/jobs/job_source.h"
#include "dispatcher/io/jobs/jobs_form.h"

namespace workpool::dispatcher {

// What has been read since the last take(). Every number given to load() comes back once, in the order given:
// as a job, or as a changed line.
struct LoadedJobs {
  std::vector<LoadedJob> jobs;
  // Lines that are gone or differ from what was indexed: nothing more may be dispatched (exit 65).
  std::vector<std::uint64_t> changed_lines;
};

class JobsReader {
 public:
  // `fd` and `index` outlive the reader; `index` is sealed and is only used inside load(). `wake` is called
  // from the reader's thread when there is something to take, never after the destructor; it must be quick.
  JobsReader(int fd, const JobsForm& form, const JobIndex& index, std::function<void()> wake);
  ~JobsReader();  // forgets what has not been read; waits at most 0.2 s for a read that hangs
  JobsReader(const JobsReader&) = delete;
  JobsReader& operator=(const JobsReader&) = delete;

  // Both are for the loop's thread and never block. The caller bounds how much is under way.
  void load(const std::vector<JobNumber>& numbers);
  LoadedJobs take();
  // The same for people, apart from those: a line that has changed ends nothing. `wake` is called here, too.
  void describe(JobNumber number);
  std::vector<DescribedJob> take_described();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the thread, which is left behind if it hangs in a dead disk
};

}  // namespace workpool::dispatcher
