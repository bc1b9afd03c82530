// SPDX-License-Identifier: MIT
// The runs of this user on this machine: one small file for each in a folder that only its user can enter.
// It says where the run's dispatcher answers, so that `status` finds runs that do not listen, too.
//
//   WORKPOOL_RUN_DIR, or else /tmp/workpool-UID, mode 0700
//     2f1c….123.json  {"v":1,"run":"16
//     hex","pid":123,"address":"tcp://127.0.0.1:41234","jobs":"/a/jobs.jsonl",
//                  "results":"/a/jobs.results.jsonl"}
//
// The dispatcher keeps its file locked (flock) for as long as it lives: what is not locked is left over, and
// is removed by whoever sees it. The lock also keeps systemd-tmpfiles away from it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/io/descriptor.h"

namespace workpool::dispatcher {

struct RunHere {
  RunId run;
  std::uint64_t pid = 0;
  std::string address;  // tcp://…, of its registration
  std::string jobs;     // without links; "-" for a pipe, `each` for its values
  std::string results;  // without links; "-", or another path that is no regular file
};

// The file of one run, from its making until the end of this object.
class RunHereFile {
 public:
  RunHereFile() = default;
  // Makes it. If the folder cannot be used, `problem` says why, there is no file, and the run is not found.
  explicit RunHereFile(const RunHere& run);
  ~RunHereFile();
  RunHereFile(const RunHereFile&) = delete;
  RunHereFile& operator=(const RunHereFile&) = delete;

  const std::string& problem() const { return problem_; }

 private:
  std::string path_;
  Descriptor fd_;  // holds the lock
  std::string problem_;
};

// Of any age, by process. Without the folder there are none; if it cannot be used, `problem` says why.
// Removes files that are left over.
std::vector<RunHere> runs_here(std::string& problem);

}  // namespace workpool::dispatcher
