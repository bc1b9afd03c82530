// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/file_source.h"

#include <utility>

namespace workpool::dispatcher {

void FileSource::take(std::vector<Event>& events) {
  LoadedJobs loaded = reader_.take();
  if (!loaded.jobs.empty()) events.emplace_back(JobsLoaded{std::move(loaded.jobs)});
  for (const std::uint64_t line : loaded.changed_lines) events.emplace_back(JobsFileChanged{line});
}

}  // namespace workpool::dispatcher
