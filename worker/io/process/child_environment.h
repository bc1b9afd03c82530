// SPDX-License-Identifier: MIT
// The environment of a job: the worker's less WORKPOOL_*, plus the job's own, plus the variables that are
// ours.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace workpool::worker {

using Variables = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::string_view kAttemptKeyName = "WORKPOOL_ATTEMPT_KEY";
// Set in the worker's own processes: the worker's name in the attempt keys of its jobs (leftovers.h).
inline constexpr std::string_view kOwnerName = "WORKPOOL_OWNER";

// What jobs inherit; made once. Immutable afterwards, any thread.
class InheritedEnvironment {
 public:
  // `environment`: as `environ`; copied.
  explicit InheritedEnvironment(char* const* environment);

  const std::vector<std::string>& entries() const { return entries_; }
  // The attempt key RANDOM.OWNER. By the owner a later worker recognises what this one left (leftovers.h).
  // RANDOM alone if this worker has no mark.
  std::string attempt_key(const std::string& random) const {
    return owner_.empty() ? random : random + '.' + owner_;
  }

 private:
  std::string owner_;
  std::vector<std::string> entries_;  // NAME=value
};

// One process's; keep it until the process is spawned. REQUIRES: `inherited` outlives it.
class ChildEnvironment {
 public:
  ChildEnvironment(const InheritedEnvironment& inherited, const Variables& of_job, const std::string& id,
                   std::uint32_t attempt, std::uint32_t slot, const std::string& attempt_key);
  // Of a handler's child, which runs many jobs.
  ChildEnvironment(const InheritedEnvironment& inherited, const std::string& handler, std::uint32_t slot,
                   const std::string& attempt_key);

  char* const* pointers() const { return pointers_.data(); }       // ends with a null pointer
  const std::string& search_path() const { return search_path_; }  // its PATH, or the system's default

 private:
  void take(const InheritedEnvironment& inherited, const Variables& of_job);

  std::vector<std::string> own_;
  std::vector<char*> pointers_;
  std::string search_path_;
};

// The files that an exec of `program` tries, at least one: itself if it has a slash (or is empty), else
// one for each directory of `search_path` (an empty directory is the current one).
std::vector<std::string> candidates_for(const std::string& program, const std::string& search_path);

}  // namespace workpool::worker
