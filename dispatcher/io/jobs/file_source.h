// SPDX-License-Identifier: MIT
// An indexed jobs file as the source of a run's jobs.
#pragma once

#include <functional>
#include <vector>

#include "dispatcher/io/jobs/job_source.h"
#include "dispatcher/io/jobs/jobs_reader.h"

namespace workpool::dispatcher {

class FileSource final : public JobSource {
 public:
  // As for JobsReader.
  FileSource(int fd, const JobsForm& form, const JobIndex& index, std::function<void()> wake)
      : reader_(fd, form, index, std::move(wake)) {}

  void take(std::vector<Event>& events) override;
  void load(const std::vector<JobNumber>& numbers) override { reader_.load(numbers); }
  void describe(JobNumber number) override { reader_.describe(number); }
  std::vector<DescribedJob> described() override { return reader_.take_described(); }
  void recorded(const JobFacts& /*facts*/) override {}

 private:
  JobsReader reader_;
};

}  // namespace workpool::dispatcher
