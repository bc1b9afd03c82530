// SPDX-License-Identifier: MIT
// Jobs files on disk, and readers of them to be waited for.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "dispatcher/io/jobs/jobs_indexer.h"
#include "dispatcher/io/jobs/jobs_input.h"
#include "dispatcher/io/jobs/jobs_reader.h"

namespace workpool::dispatcher {

inline constexpr auto kPatience = std::chrono::seconds(30);

class JobsOnDisk : public ::testing::Test {
 protected:
  JobsOnDisk() {
    std::string pattern = (std::filesystem::temp_directory_path() / "workpool-jobs-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~JobsOnDisk() override { std::filesystem::remove_all(path_); }

  std::string path(const std::string& name = "jobs.jsonl") const { return path_ + '/' + name; }
  std::string write(const std::string& text) const {
    std::ofstream(path(), std::ios::binary | std::ios::trunc) << text;
    return path();
  }

 private:
  std::string path_;
};

inline JobsInput opened(const std::string& path) {
  auto input = JobsInput::open(path);
  if (auto* problem = std::get_if<JobsProblem>(&input)) throw std::runtime_error(problem->message);
  return std::get<JobsInput>(std::move(input));
}

struct Indexed {
  JobsInput input;
  JobIndex index;
  IndexReport report;
  explicit Indexed(const std::string& path, const IndexOptions& options = {},
                   JobsFormat format = JobsFormat::kJsonLines)
      : input(opened(path)), report(index_jobs_file(input, form_in(input, format, {}), index, options)) {
    index.open_queues(false);
  }
};

// Something that a reader's thread tells, and the test waits for.
class Bell {
 public:
  std::function<void()> ring() {
    return [this] { ++rung_; };
  }
  template <typename Condition>
  bool until(Condition condition) const {
    const auto limit = std::chrono::steady_clock::now() + kPatience;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > limit) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
  }
  int rung() const { return rung_; }

 private:
  std::atomic<int> rung_{0};
};

inline LoadedJobs load_all(JobsReader& reader, const Bell& bell, const std::vector<JobNumber>& numbers) {
  LoadedJobs all;
  reader.load(numbers);
  EXPECT_TRUE(bell.until([&] {
    LoadedJobs some = reader.take();
    for (auto& job : some.jobs) all.jobs.push_back(std::move(job));
    for (const auto line : some.changed_lines) all.changed_lines.push_back(line);
    return all.jobs.size() + all.changed_lines.size() == numbers.size();
  }));
  return all;
}

}  // namespace workpool::dispatcher
