// SPDX-License-Identifier: MIT
// A pipe, or whatever else is not a regular file, as the source of a run's jobs.
#pragma once

#include <functional>
#include <vector>

#include "dispatcher/core/job_intake.h"
#include "dispatcher/io/jobs/job_source.h"
#include "dispatcher/io/jobs/stream_reader.h"

namespace workpool::dispatcher {

class PipeSource final : public JobSource {
 public:
  // As for StreamReader and JobIntake.
  PipeSource(int fd, JobsFormat format, const JobDefaults& defaults, const JobIntake& intake,
             std::function<void()> wake, const StreamLimits& limits = {})
      : intake_(intake), reader_(fd, format, defaults, std::move(wake), limits) {}

  void take(std::vector<Event>& events) override;
  void load(const std::vector<JobNumber>& /*numbers*/) override {}
  void recorded(const JobFacts& facts) override;

 private:
  JobIntake intake_;
  StreamReader reader_;
};

}  // namespace workpool::dispatcher
