// SPDX-License-Identifier: MIT
// RESULTS.state, which is next to RESULTS and says whose results they are: append-only JSON lines with the
// crc of result lines (common/formats/results_file.h). Heads are written here, before the run; names by the
// journal's thread, while it goes on.
//   {"state":1,"run":"16 hex","jobs":"/path/of/jobs.jsonl","crc":"8 hex"}  the head; the last one counts
//   {"worker":"16 hex","name":"node7","crc":"8 hex"}                       the run calls this worker so
// A path that is not UTF-8 is written as "jobs_base64". A torn tail is cut when the file is next written; a
// damaged line is ignored. Used under the lock of RESULTS, by one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/io/results/line_output.h"

namespace workpool::dispatcher {

// Appends a line with its newline: from now on the run calls this worker so.
void append_name_line(std::string& out, const GrantedName& granted);

// The last head of the state file of `results`, for readers of results: no lock, nothing written. The state
// file stands next to the file itself, not next to a link to it.
struct StateHead {
  std::optional<RunId> run;
  std::string jobs;  // "-" for a pipe; "" if there is no state file that can be read
};
StateHead state_head_of(const std::string& results);

class StateFile {
 public:
  // Reads what is there, if anything; writes nothing. Throws std::system_error if it is there and cannot
  // be read.
  explicit StateFile(std::string path);
  ~StateFile();
  StateFile(const StateFile&) = delete;
  StateFile& operator=(const StateFile&) = delete;

  const std::string& path() const { return path_; }

  // The run of the last head; nullopt if there is no valid one.
  std::optional<RunId> run() const { return run_; }
  // Whether the last head names this jobs file.
  bool names(const std::string& jobs_path) const;
  // The jobs file as the last head names it, for people.
  std::string jobs_shown() const;
  // The same as a path; empty if there is no valid head.
  std::string jobs_path() const;

  // The names of this run: those read from the lines since its first head.
  const std::vector<GrantedName>& worker_names() const { return worker_names_; }

  // Each returns errno, 0 when done. After ENOSPC or EDQUOT the same call may be repeated.
  // Discards what is there; writes and syncs a head.
  int begin(RunId run, const std::string& jobs_path);
  // Cuts a torn tail; adds a head if the path is another one.
  int keep(RunId run, const std::string& jobs_path);
  // For the lines of append_name_line; -1 before begin or keep.
  int fd() const { return output_ == nullptr ? -1 : fd_; }

 private:
  friend StateHead state_head_of(const std::string& results);

  StateFile(std::string path, int access);
  void read();
  void read_head(std::string_view text);
  int open_to_write(std::int64_t keep_bytes);
  int append(const std::string& line);
  int append_head(RunId run, const std::string& jobs_path);

  std::string path_;
  int fd_ = -1;
  std::int64_t whole_bytes_ = 0;
  std::optional<RunId> run_;
  std::string jobs_;  // `"jobs":"…"` of the last head
  std::vector<GrantedName> worker_names_;
  std::unique_ptr<LineOutput> output_;  // once begin or keep has opened it to write
};

}  // namespace workpool::dispatcher
