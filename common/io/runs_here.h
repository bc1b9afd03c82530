// SPDX-License-Identifier: MIT
// The runs of this user on this machine: one small file for each in a folder that only its user can enter.
// It says where the run's dispatcher answers, so that `status` finds runs that do not listen, and workers of
// the same user need no key.
//
//   WORKPOOL_RUN_DIR, or else /tmp/workpool-UID, mode 0700
//     123.2f1c….json  {"v":1,"run":"16 hex","pid":123,"address":"ipc:///tmp/workpool-a1B2c3",
//                      "listen":"tcp://0.0.0.0:5555","jobs":"/a/jobs.jsonl","results":"/a/jobs.results.jsonl"}
//
// The dispatcher keeps its file locked (flock) for as long as it lives: what is not locked is left over, and
// is removed by whoever sees it. The lock also keeps systemd-tmpfiles away from it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/address.h"
#include "common/base/ids.h"
#include "common/io/descriptor.h"

namespace workpool {

struct RunHere {
  RunId run;  // 0 until RESULTS has been begun
  std::uint64_t pid = 0;
  Address address;                // where it answers programs of this user on this machine
  std::optional<Address> listen;  // --listen, with the port that was bound
  std::string jobs;               // without links; "-" for a pipe, `each` for its values
  std::string results;            // without links; "-", or another path that is no regular file
};

// The file of one run, from its making until the end of this object.
class RunHereFile {
 public:
  RunHereFile() = default;
  // Makes it. If the folder cannot be used, `problem` says why, there is no file, and the run is not found.
  explicit RunHereFile(const RunHere& run);
  // Replaces what it says. If that fails, the old file stays.
  void update(const RunHere& run);
  ~RunHereFile();
  RunHereFile(const RunHereFile&) = delete;
  RunHereFile& operator=(const RunHereFile&) = delete;

  const std::string& problem() const { return problem_; }

 private:
  bool write(const RunHere& run);

  std::string folder_;
  std::string name_;  // in it; empty if there is no file
  Descriptor fd_;     // holds the lock
  std::string problem_;
};

// Of any age, by process. Without the folder there are none; if it cannot be used, `problem` says why.
// Removes files that are left over.
std::vector<RunHere> runs_here(std::string& problem);

// Where the run of this user answers that listens on this port of the loopback interface; nullopt if there is
// none. `host`: a literal; there is none for one that is not loopback.
std::optional<Address> run_here_at(const std::string& host, std::uint16_t port);

}  // namespace workpool
