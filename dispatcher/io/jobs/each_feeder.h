// SPDX-License-Identifier: MIT
// Writes the jobs lines of `each` into a pipe, from a thread of its own, for the reader of jobs that come one
// by one. So nothing behind the pipe knows of `each`, and memory stays bounded: the thread waits while the
// pipe is full. A line is written as soon as its values are there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "dispatcher/io/jobs/each_jobs.h"
#include "dispatcher/io/jobs/jobs_input.h"

namespace workpool::dispatcher {

class EachFeeder {
 public:
  // Starts the thread. Throws std::system_error.
  explicit EachFeeder(EachJobs jobs);
  ~EachFeeder();  // does not wait for input, and at most 0.2 s for a read that hangs
  EachFeeder(const EachFeeder&) = delete;
  EachFeeder& operator=(const EachFeeder&) = delete;

  // As EachJobs::total().
  std::optional<std::uint64_t> total() const;
  // The other end of the pipe. Once.
  JobsInput take_input();
  // Once the pipe has ended: why it ended early, for people; empty if it did not.
  std::string problem() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;  // shared with the thread, which is left behind if it hangs in a read
};

}  // namespace workpool::dispatcher
