// SPDX-License-Identifier: MIT
// The sources of jobs as the loop sees them: events in, lines wanted and records out.
#include "dispatcher/io/jobs/job_source.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "dispatcher/io/jobs/file_source.h"
#include "dispatcher/io/jobs/jobs_indexer.h"
#include "dispatcher/io/jobs/pipe_source.h"

namespace workpool::dispatcher {
namespace {

class SourceTest : public ::testing::Test {
 protected:
  ~SourceTest() override {
    for (const int fd : ends_) {
      if (fd >= 0) close(fd);
    }
  }

  void open_pipe(bool resumable, const StreamLimits& limits = {}) {
    ASSERT_EQ(pipe2(ends_, O_CLOEXEC), 0);
    source_ = std::make_unique<PipeSource>(
        ends_[0], JobsFormat::kJsonLines, JobDefaults{}, JobIntake(index_.ids(), resumable, false), [] {},
        PipeListener{}, limits);
  }
  void send(const std::string& text) const {
    ASSERT_EQ(write(ends_[1], text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void finish() {
    close(ends_[1]);
    ends_[1] = -1;
  }
  void open_file(const std::string& text) {
    std::string path = testing::TempDir() + "workpool-source-XXXXXX";
    const int fd = mkstemp(path.data());
    ASSERT_EQ(write(fd, text.data(), text.size()), static_cast<ssize_t>(text.size()));
    auto opened = JobsInput::open(path);
    unlink(path.c_str());
    input_.emplace(std::get<JobsInput>(std::move(opened)));
    ASSERT_TRUE(index_jobs_file(*input_, JobsFormat::kJsonLines, index_).ok());
    index_.open_queues(false);
    file_ = fd;
    source_ = std::make_unique<FileSource>(input_->fd(), JobsFormat::kJsonLines, index_, [] {});
  }

  // Takes until there are `count` events, and shows them.
  std::vector<std::string> events(std::size_t count) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (taken_.size() < count && std::chrono::steady_clock::now() < limit) {
      source_->take(taken_);
      if (taken_.size() < count) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::vector<std::string> shown;
    for (const Event& event : taken_) shown.push_back(show(event));
    taken_.clear();
    return shown;
  }
  std::string show(const Event& event) {
    if (const auto* arrived = std::get_if<JobArrived>(&event)) {
      arrived_.push_back(arrived->job.facts);
      return "job " + arrived->job.facts.full_id() + " " + std::string(arrived->job.work);
    }
    if (const auto* loaded = std::get_if<JobsLoaded>(&event)) {
      std::string text = "loaded";
      for (const LoadedJob& job : loaded->jobs) text += " " + job.facts.full_id();
      return text;
    }
    if (const auto* invalid = std::get_if<InvalidLine>(&event)) {
      arrived_.push_back(invalid->facts);
      return "invalid " + invalid->facts.id;
    }
    if (const auto* done = std::get_if<AlreadyDone>(&event))
      return "done " + std::to_string(done->ok) + "+" + std::to_string(done->not_ok());
    if (const auto* changed = std::get_if<JobsFileChanged>(&event))
      return "changed " + std::to_string(changed->line);
    return std::holds_alternative<InputEnded>(event) ? "ended" : "another event";
  }

  JobIndex index_;
  std::optional<JobsInput> input_;
  int file_ = -1;
  int ends_[2] = {-1, -1};
  std::unique_ptr<JobSource> source_;
  std::vector<Event> taken_;
  std::vector<JobFacts> arrived_;
};

using Seen = std::vector<std::string>;

TEST_F(SourceTest, APipeTellsOfEachLine) {
  index_.ids().remember(key_of_id("b"), spec_of_work("{\"cmd\":\"b\"}"), JobRegister::Past::kOk);
  index_.ids().remember(key_of_id("c"), spec_of_work("{\"cmd\":\"c\"}"), JobRegister::Past::kTimeout);
  open_pipe(true);
  send(
      "{\"cmd\":\"a\"}\n[]\n{\"cmd\":\"b\",\"id\":\"b\"}\n{\"cmd\":\"c\",\"id\":\"c\"}\n{\"cmd\":\"d\","
      "\"id\":\"b\"}\n");
  finish();
  const Seen seen = events(5);
  const std::string first = default_id(spec_of_work("{\"cmd\":\"a\"}"), 1);
  EXPECT_EQ(seen,
            (Seen{"job " + first + " {\"cmd\":\"a\"}", "invalid L2", "invalid L5", "done 1+1", "ended"}));
}

TEST_F(SourceTest, ABadLineThatIsRecordedIsDoneWhateverItsLineIs) {
  const std::string second = "{\"cmd\":\"d\",\"id\":\"b\"}";
  index_.ids().remember_invalid(spec_of_work("[]"));
  index_.ids().remember_invalid(spec_of_work(second));
  open_pipe(true, {2, 1 << 20});
  send("\n[]\n{\"cmd\":\"c\",\"id\":\"b\"}\n");
  EXPECT_EQ(events(2), (Seen{"job b {\"cmd\":\"c\"}", "done 0+1"}));
  send(second + "\n[]\n");
  EXPECT_EQ(events(2), (Seen{"done 0+1", "invalid L5"})) << "one more than is recorded";
  EXPECT_EQ(arrived_.back().spec, spec_of_work("[]"));
}

TEST_F(SourceTest, APipeIsReadOnOnceItsJobsAreRecordedOrDone) {
  index_.ids().remember(key_of_id("b"), spec_of_work("{\"cmd\":\"b\"}"), JobRegister::Past::kOk);
  open_pipe(true, {1, 1 << 20});
  send(
      "{\"cmd\":\"b\",\"id\":\"b\"}\n{\"cmd\":\"a\",\"id\":\"a\"}\n{\"cmd\":\"a\",\"id\":\"a\"}\n{\"cmd\":"
      "\"c\",\"id\":\"c\"}\n");
  EXPECT_EQ(events(2), (Seen{"done 1+0", "job a {\"cmd\":\"a\"}"}));
  source_->recorded(arrived_.back());
  EXPECT_EQ(events(1), Seen{"invalid L3"});
  source_->recorded(arrived_.back());
  EXPECT_EQ(events(1), Seen{"job c {\"cmd\":\"c\"}"});
}

TEST_F(SourceTest, AnIdComesAgainWhereNothingResumes) {
  open_pipe(false);
  for (int round = 0; round < 3; ++round) {
    send("{\"cmd\":\"a\",\"id\":\"a\"}\n");
    EXPECT_EQ(events(1), Seen{"job a {\"cmd\":\"a\"}"});
    source_->recorded(arrived_.back());
  }
  send("{\"cmd\":\"a\"}\n");
  EXPECT_EQ(events(1), Seen{"job L4 {\"cmd\":\"a\"}"});
}

TEST_F(SourceTest, AFileLoadsWhatItIsAskedFor) {
  open_file("{\"cmd\":\"a\",\"id\":\"a\"}\n{\"cmd\":\"b\",\"id\":\"b\"}\n{\"cmd\":\"c\",\"id\":\"c\"}\n");
  EXPECT_EQ(events(0), Seen{}) << "nothing by itself";
  source_->load({2, 0});
  EXPECT_EQ(events(1), Seen{"loaded c a"});
  ASSERT_EQ(pwrite(file_, "{\"cmd\":\"B\"", 10, 23), 10);
  source_->load({1});
  EXPECT_EQ(events(1), Seen{"changed 2"});
  source_.reset();
  close(file_);
}

TEST_F(SourceTest, AJobOfAFileIsDescribedApartFromThoseThatAreLoaded) {
  open_file("{\"cmd\":[\"a\"]}\n{\"cmd\":\"b\",\"id\":\"x\"}\n{\"type\":\"noop\"}\n");
  const auto describe = [&](const std::vector<JobNumber>& numbers) {
    for (const JobNumber number : numbers) source_->describe(number);
    std::vector<std::string> texts;
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (texts.size() < numbers.size() && std::chrono::steady_clock::now() < limit) {
      for (const DescribedJob& job : source_->described())
        texts.push_back(std::to_string(job.number) + std::string(job.work.view()));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return texts;
  };
  EXPECT_EQ(describe({2, 1}), (std::vector<std::string>{R"(2{"type":"noop"})", R"(1{"cmd":"b"})"}));
  // Another job stands on the second line now.
  ASSERT_EQ(pwrite(file_, "c", 1, 14 + 8), 1);
  EXPECT_EQ(describe({1, 0}), (std::vector<std::string>{"1", R"(0{"cmd":["a"]})"}));
  std::vector<Event> events;
  source_->take(events);
  EXPECT_TRUE(events.empty()) << "nothing ends for that";
  source_.reset();
  close(file_);
}

}  // namespace
}  // namespace workpool::dispatcher
