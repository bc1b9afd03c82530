// SPDX-License-Identifier: MIT
// A folder with a results file in it, result lines and an index of jobs: what the tests of RESULTS share.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "common/formats/results_file.h"
#include "dispatcher/core/job_index.h"
#include "tests/support/owned_result.h"

namespace workpool::dispatcher {

// In memory if the machine allows it: some tests sync thousands of times.
class ResultsFolder {
 public:
  ResultsFolder() {
    std::string name = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    name += "/workpool-results-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~ResultsFolder() { std::filesystem::remove_all(path_); }
  ResultsFolder(const ResultsFolder&) = delete;
  ResultsFolder& operator=(const ResultsFolder&) = delete;

  std::string path(const std::string& name) const { return path_ + "/" + name; }
  std::string results() const { return path("results.jsonl"); }
  std::string state() const { return results() + ".state"; }
  std::string read(const std::string& file) const {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  void write(const std::string& file, const std::string& content) const {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << content;
  }

 private:
  std::string path_;
};

class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
  ~OpenFile() { close(fd_); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

inline constexpr RunId kRun{0xabc};

inline Spec spec_of(const std::string& id, int version = 1) {
  return spec_of_work(id + "/" + std::to_string(version));
}

// The line of a job with this id, with its newline; another `version` is other work.
inline std::string line_of(const std::string& id, Status status = Status::kOk, int version = 1,
                           RunId run = kRun) {
  OwnedResult result;
  result.id = id;
  result.line = 1;
  result.attempt = 1;
  result.outcome.command.emplace();
  result.outcome.status = status;
  if (status != Status::kOk) result.outcome.kind = ErrorKind::kExit;
  if (status == Status::kInvalid) result.outcome.kind = ErrorKind::kInvalid;
  result.outcome.command->standard_output = "out\n";
  result.worker = "w1";
  result.run = run;
  result.spec = spec_of(id, version);
  std::string line;
  append_result_line(line, result);
  return line;
}

// Jobs with these ids, of version 1.
inline JobIndex index_of(const std::vector<std::string>& ids) {
  JobIndex index;
  JobIndex::Entry entry;
  entry.requirement = index.requirement_number(Requirement{});
  for (const std::string& id : ids) {
    ++entry.line;
    entry.offset += 10;
    entry.key_prefix = key_of_id(id).high;
    entry.spec_prefix = spec_of(id).high;
    index.add(entry);
  }
  index.seal();
  return index;
}

inline std::vector<std::string> ids_up_to(int count) {
  std::vector<std::string> ids;
  for (int i = 1; i <= count; ++i) ids.push_back("job" + std::to_string(i));
  return ids;
}

inline std::uint64_t jobs_to_run(const JobIndex& index) {
  std::uint64_t count = 0;
  for (JobNumber number = 0; number < index.size(); ++number) {
    count += index.ids().past(number) == JobRegister::Past::kNone ? 1 : 0;
  }
  return count;
}

}  // namespace workpool::dispatcher
