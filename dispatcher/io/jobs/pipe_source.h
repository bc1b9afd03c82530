// SPDX-License-Identifier: MIT
// A pipe, or whatever else is not a regular file, as the source of a run's jobs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dispatcher/core/job_intake.h"
#include "dispatcher/io/jobs/job_source.h"
#include "dispatcher/io/jobs/stream_reader.h"

namespace workpool::dispatcher {

// What others know of a pipe, or want to. Each may be empty.
struct PipeListener {
  std::function<void(std::uint64_t line)> skipped;  // the job of this line has been finished before
  std::function<std::string()> problem;             // asked at the end: why the writer has ended it early
};

class PipeSource final : public JobSource {
 public:
  // As for StreamReader and JobIntake.
  PipeSource(int fd, std::optional<JobsFormat> format, const JobDefaults& defaults, const JobIntake& intake,
             std::function<void()> wake, PipeListener listener = {}, const StreamLimits& limits = {})
      : intake_(intake),
        listener_(std::move(listener)),
        reader_(fd, format, defaults, std::move(wake), limits) {}

  void take(std::vector<Event>& events) override;
  void load(const std::vector<JobNumber>& /*numbers*/) override {}
  void recorded(const JobFacts& facts) override;

 private:
  JobIntake intake_;
  PipeListener listener_;
  StreamReader reader_;
};

}  // namespace workpool::dispatcher
