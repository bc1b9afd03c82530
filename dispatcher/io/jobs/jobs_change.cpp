// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_change.h"

#include <sys/stat.h>

#include <variant>

#include "dispatcher/io/jobs/jobs_indexer.h"

namespace workpool::dispatcher {
namespace {

bool same_jobs(const JobIndex& a, const JobIndex& b) {
  if (a.size() != b.size()) return false;
  for (JobNumber number = 0; number < a.size(); ++number) {
    const JobIndex::Entry one = a.entry(number);
    const JobIndex::Entry other = b.entry(number);
    if (one.key_prefix != other.key_prefix || one.spec_prefix != other.spec_prefix) return false;
  }
  return true;
}

// Its line of defaults may be another one, too.
bool holds_others(const JobsInput& input, JobsFormat format, const JobDefaults& defaults,
                  const JobIndex& index) {
  JobIndex now;
  return !index_jobs_file(input, form_in(input, format, defaults), now).ok() || !same_jobs(index, now);
}

bool is_another(const std::string& path, int fd) {
  struct stat there {};
  struct stat ours {};
  return ::stat(path.c_str(), &there) == 0 && ::fstat(fd, &ours) == 0 && S_ISREG(there.st_mode) &&
         (there.st_dev != ours.st_dev || there.st_ino != ours.st_ino);
}

}  // namespace

bool jobs_changed(const JobsInput& input, const std::string& path, JobsFormat format,
                  const JobDefaults& defaults, const JobIndex& index) {
  if (!input.regular()) return false;
  if (input.written_to() && holds_others(input, format, defaults, index)) return true;
  if (!is_another(path, input.fd())) return false;
  const auto other = JobsInput::open(path);
  const auto* opened = std::get_if<JobsInput>(&other);
  return opened == nullptr || holds_others(*opened, format, defaults, index);
}

}  // namespace workpool::dispatcher
