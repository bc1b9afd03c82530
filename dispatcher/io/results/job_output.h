// SPDX-License-Identifier: MIT
// Prints what jobs have written, each job's output as a whole: stdout to ours, stderr to ours. With
// `keep_order` in the order of the lines that the jobs came from; what has to wait for an earlier job is kept
// in memory, beyond 32 MiB in a file without a name. Used by the journal's thread; `skipped` by any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/io/console.h"
#include "common/io/descriptor.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/io/results/line_output.h"
#include "dispatcher/options.h"

namespace workpool::dispatcher {

class JobOutput {
 public:
  // Takes a duplicate of stdout. `console` outlives it. Throws std::system_error.
  JobOutput(Console& console, const OutputOptions& options);
  JobOutput(const JobOutput&) = delete;
  JobOutput& operator=(const JobOutput&) = delete;

  // What this job has written is to be printed.
  void add(const Record& record);
  // The job of this line does not run, so no other waits for its output.
  void skipped(std::uint64_t line);
  // Call this when no more jobs will end: what still waits for others is then printed, too.
  void expect_nothing() { nothing_comes_ = true; }
  // Writes what is to be printed. kNotReady: it takes no more now; wait_ready(), then again.
  LineOutput::Attempt write();
  void wait_ready(Duration limit);
  bool empty() const { return chunks_.empty(); }

 private:
  struct Chunk {
    bool errors = false;  // for stderr
    std::string bytes;
  };
  // The output of a job that waits for an earlier one, in memory or in the file.
  struct Held {
    std::string output;
    std::string errors;
    std::uint64_t offset = 0;
    std::size_t output_bytes = 0;
    std::size_t errors_bytes = 0;
    bool in_file = false;
  };

  std::string tagged(std::string_view text, const Record& record) const;
  void print(bool errors, std::string bytes);
  void hold(std::uint64_t line, Held held);
  void release(Held held);
  bool release_next();

  Console& console_;
  const OutputOptions options_;
  LineOutput stdout_;
  bool one_file_;  // stdout is what the console writes to: then both go through it, in their order
  std::deque<Chunk> chunks_;
  std::size_t written_ = 0;  // of the first chunk

  std::uint64_t next_line_ = 1;
  std::map<std::uint64_t, Held> held_;
  std::size_t held_bytes_ = 0;  // in memory
  std::size_t held_in_file_ = 0;
  bool nothing_comes_ = false;
  Descriptor file_;
  std::uint64_t file_bytes_ = 0;
  std::mutex mutex_;
  std::vector<std::uint64_t> skipped_;  // guarded by mutex_
};

}  // namespace workpool::dispatcher
