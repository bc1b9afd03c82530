// SPDX-License-Identifier: MIT
// JOBS as an open file, and what its readers share: a loaded job, and the wake-up that each reader has.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "common/base/job.h"
#include "common/formats/job_defaults.h"
#include "dispatcher/core/job_facts.h"

namespace workpool::dispatcher {

// Why JOBS cannot be read as a whole: one line for people, which names it and the reason. Exit code 65.
struct JobsProblem {
  std::string message;
};

// Differs from an earlier mark of the same file if that has been written to in between.
struct FileMark {
  std::int64_t size = 0;
  std::int64_t seconds = 0;  // of the last change
  std::int64_t nanoseconds = 0;
  bool operator==(const FileMark&) const = default;
  static FileMark of(int fd);
};

// Owns the descriptor; `run`, `check` and `verify` read through this one only, so that all see the same file.
class JobsInput {
 public:
  // `path` "-" is stdin, which is never treated as a regular file and must be open for reading. A FIFO is
  // opened without waiting for its writer.
  static std::variant<JobsInput, JobsProblem> open(const std::string& path);
  // Copies an input that is not a regular file into a file without a name in $TMPDIR or /tmp, so that it can
  // be read as a whole. Waits for its end. Shown under the name of `pipe`.
  static std::variant<JobsInput, JobsProblem> copy_of(const JobsInput& pipe);
  // The reading end of a pipe, which is now its own. `shown`: what people call it.
  static JobsInput of_pipe(int fd, std::string shown) { return {fd, true, false, std::move(shown)}; }
  JobsInput(JobsInput&& other) noexcept;
  JobsInput& operator=(JobsInput&& other) = delete;
  ~JobsInput();

  int fd() const { return fd_; }
  bool regular() const { return regular_; }                // else a StreamReader's
  const std::string& shown_path() const { return path_; }  // as the user wrote it; "stdin" for "-"
  // Whether a regular file has been written to since it was opened; its jobs may still be the same.
  bool written_to() const { return FileMark::of(fd_) != opened_; }

 private:
  JobsInput(int fd, bool owned, bool regular, std::string path)
      : fd_(fd), owned_(owned), regular_(regular), path_(std::move(path)) {}
  static std::variant<JobsInput, JobsProblem> open_stdin();

  int fd_;
  bool owned_;
  bool regular_;
  std::string path_;
  FileMark opened_;
};

// Fills the facts that the line or the defaults state; number, line, repeat, key and requirement are the
// caller's. The work goes into `works`.
LoadedJob load_job(const JobView& line, const JobDefaults& defaults, SharedBytesPacker& works);

// Wakes the thread of a reader; an eventfd, so that it can be polled together with a descriptor.
class WakeUp {
 public:
  WakeUp();  // throws std::system_error
  ~WakeUp();
  WakeUp(const WakeUp&) = delete;
  WakeUp& operator=(const WakeUp&) = delete;
  void raise();  // any thread
  // Waits until raised or, with `fd` >= 0, until that has something to read (`to_write`: takes something).
  // Returns whether it was raised, and resets that.
  bool wait(int fd = -1, bool to_write = false);

 private:
  int event_;
};

}  // namespace workpool::dispatcher
