// SPDX-License-Identifier: MIT
// Reads jobs from stdin, a FIFO or anything else that is not a regular file, line by line as they come, in a
// thread of its own. Memory is constant: the thread stops reading while too many of its jobs are open.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/formats/jobs_file.h"
#include "dispatcher/core/job_facts.h"
#include "dispatcher/io/jobs/jobs_input.h"

namespace workpool::dispatcher {

// facts: number from 0 over the good lines; id as given, empty if the line gives none, and no key yet: both
// are up to JobIntake. facts.requirement is 0, for the scheduler to number (`requirement`).
struct StreamJob {
  LoadedJob loaded;
  Requirement requirement;
};

struct StreamItem {
  std::uint64_t line = 0;  // from 1
  std::variant<StreamJob, LineError> content;
  Spec digest;  // of the text; of a line that is too long, of its first 64 bytes
};

// What has been read since the last take(), in the order of the lines.
struct StreamBatch {
  std::vector<StreamItem> items;
  bool ended = false;   // nothing comes after these items
  std::string problem;  // why it ended early, for people; empty at the end of the input
};

struct StreamLimits {
  std::uint64_t jobs = 10'000;  // the read-ahead: items handed over and not released
  std::uint64_t payload_bytes = 64ULL << 20;
};

class StreamReader {
 public:
  // `fd` outlives the reader; it may be blocking. `wake` is called from the reader's thread when there is
  // something to take, never after the destructor; it must be quick. A line is handed over as soon as it has
  // been read. `format`: nullopt if the first job is to tell. `defaults`: of the command line; the first line
  // may add some.
  StreamReader(int fd, std::optional<JobsFormat> format, const JobDefaults& defaults,
               std::function<void()> wake, const StreamLimits& limits = {});
  ~StreamReader();  // does not wait for input, and at most 0.2 s for a read that hangs
  StreamReader(const StreamReader&) = delete;
  StreamReader& operator=(const StreamReader&) = delete;

  // Both are for the loop's thread and never block.
  StreamBatch take();
  // `items` of those taken are done with; `payload_bytes` is the sum of theirs (0 for a bad line).
  void released(std::uint64_t items, std::uint64_t payload_bytes);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the thread, which is left behind if it hangs in a read
};

}  // namespace workpool::dispatcher
