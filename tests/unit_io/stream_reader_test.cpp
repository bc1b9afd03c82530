// SPDX-License-Identifier: MIT
// The reader of stdin and FIFOs, over real pipes.
#include "dispatcher/io/jobs/stream_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

namespace workpool::dispatcher {
namespace {

// A pipe with a reader at its end.
class StreamOnPipe : public ::testing::Test {
 protected:
  StreamOnPipe() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~StreamOnPipe() override {
    reader_.reset();
    close(ends_[0]);
    finish();
  }

  void start(const StreamLimits& limits = {}, JobsFormat format = JobsFormat::kJsonLines) {
    reader_ = std::make_unique<StreamReader>(
        ends_[0], format, JobDefaults{seconds(7), 2}, [this] { ++rung_; }, limits);
  }
  // Ends the reader; the next one has a pipe of its own.
  void again() {
    reader_.reset();
    close(ends_[0]);
    finish();
    EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0);
    items_.clear();
    ended_ = false;
    problem_.clear();
  }
  void send(const std::string& text) const {
    std::size_t done = 0;
    while (done < text.size()) {
      const ssize_t written = write(ends_[1], text.data() + done, text.size() - done);
      ASSERT_GT(written, 0);
      done += static_cast<std::size_t>(written);
    }
  }
  void finish() {
    if (ends_[1] >= 0) close(ends_[1]);
    ends_[1] = -1;
  }

  // Takes until there are `count` items in all, or with 0 until the end.
  void take(std::size_t count) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (count == 0 ? !ended_ : items_.size() < count) {
      ASSERT_LT(std::chrono::steady_clock::now(), limit) << items_.size() << " of " << count;
      StreamBatch batch = reader_->take();
      for (auto& item : batch.items) items_.push_back(std::move(item));
      ended_ = ended_ || batch.ended;
      if (!batch.problem.empty()) problem_ = batch.problem;
      if (batch.items.empty()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  const StreamJob& job(std::size_t at) const { return std::get<StreamJob>(items_[at].content); }
  const LineError& error(std::size_t at) const { return std::get<LineError>(items_[at].content); }

  int ends_[2] = {-1, -1};
  std::atomic<int> rung_{0};
  std::unique_ptr<StreamReader> reader_;
  std::vector<StreamItem> items_;
  bool ended_ = false;
  std::string problem_;
};

TEST_F(StreamOnPipe, ALineIsHandedOverAsSoonAsItIsThere) {
  start();
  send("{\"cmd\":\"a\"}\n");
  take(1);
  EXPECT_FALSE(ended_);
  EXPECT_GE(rung_, 1);
  send("{\"cmd\":");
  send("\"b\",\"id\":\"b\"}\n");
  take(2);
  finish();
  take(0);
  EXPECT_EQ(items_.size(), 2U);
  EXPECT_EQ(problem_, "");
}

TEST_F(StreamOnPipe, NumbersJobsAndLines) {
  start();
  send(
      "\xef\xbb\xbf{\"cmd\":\"a\"}\r\n\n[]\n{\"type\":\"x\",\"id\":\"i\",\"slots\":3,\"timeout\":1}\n{"
      "\"cmd\":\"a\"}");
  finish();
  take(0);
  ASSERT_EQ(items_.size(), 4U);
  EXPECT_EQ(items_[0].line, 1U);
  EXPECT_EQ(job(0).loaded.facts.line, 1U);
  EXPECT_EQ(job(0).loaded.facts.id, "") << "ids are up to JobIntake";
  EXPECT_EQ(job(0).loaded.facts.timeout, seconds(7));
  EXPECT_EQ(job(0).loaded.facts.retries, 2U);
  EXPECT_EQ(items_[1].line, 3U);
  EXPECT_EQ(error(1).column, 1U);
  EXPECT_EQ(items_[2].line, 4U);
  EXPECT_EQ(job(2).loaded.facts.id, "i");
  EXPECT_EQ(job(2).loaded.facts.number, 1U) << "a bad line is no job";
  EXPECT_EQ(job(2).requirement, (Requirement{"x", {}, 3}));
  EXPECT_EQ(job(2).loaded.facts.slots, 3U);
  EXPECT_EQ(job(2).loaded.facts.timeout, seconds(1));
  EXPECT_EQ(job(3).loaded.facts.line, 5U) << "no final newline";
  EXPECT_EQ(job(3).loaded.facts.spec, job(0).loaded.facts.spec);
}

TEST_F(StreamOnPipe, AFirstLineOfDefaultsIsForAllJobs) {
  start();
  send("\n{\"defaults\":{\"cwd\":\"/d\",\"timeout\":8,\"retries\":9}}\n{\"cmd\":[\"a\"]}\n");
  take(1);
  EXPECT_EQ(items_[0].line, 3U);
  EXPECT_EQ(job(0).loaded.work, "{\"cmd\":[\"a\"],\"cwd\":\"/d\"}");
  EXPECT_EQ(job(0).loaded.facts.timeout, seconds(7)) << "the command line says it";
  send("{\"defaults\":{}}\n{\"cmd\":[\"a\"],\"cwd\":\"/e\"}\n");
  finish();
  take(0);
  ASSERT_EQ(items_.size(), 3U);
  EXPECT_NE(error(1).message.find("first line"), std::string::npos);
  EXPECT_EQ(job(2).loaded.work, "{\"cmd\":[\"a\"],\"cwd\":\"/e\"}");
  EXPECT_EQ(problem_, "");
}

TEST_F(StreamOnPipe, NothingRunsWithDefaultsThatAreWrong) {
  start();
  send("{\"defaults\":{\"cwd\":1}}\n{\"cmd\":[\"a\"]}\n");
  finish();
  take(0);
  EXPECT_EQ(items_.size(), 0U);
  EXPECT_EQ(problem_.substr(0, 26), "line 1, column 20: \"cwd\" m");
}

TEST_F(StreamOnPipe, JsonIsNotHandedOverAsShellCommands) {
  for (const std::string text : {"\xef\xbb\xbf\n# jobs\n{\"cmd\":[\"true\"]}\n{\"cmd\":[\"true\"]}\n",
                                 "[\n  {\n    \"cmd\": [", "{\n\"cmd\": \"a\"\n}\n", "[{\"cmd\":\"a\"}]"}) {
    start({}, JobsFormat::kLines);
    send(text);
    finish();
    take(0);
    EXPECT_EQ(items_.size(), 0U) << text;
    EXPECT_NE(problem_.find("JSON"), std::string::npos) << text << ": " << problem_;
    again();
  }
}

TEST_F(StreamOnPipe, ShellLinesThatBeginLikeJsonAreHandedOver) {
  start({}, JobsFormat::kLines);
  send("{ \"my tool\" : ; }\n");
  take(1);
  EXPECT_FALSE(ended_) << "as soon as the line is there";
  again();
  start({}, JobsFormat::kLines);
  send("[\n");
  send("{\n");
  send("ls\n{\"cmd\":\"a\"}\n");
  finish();
  take(0);
  EXPECT_EQ(items_.size(), 4U) << "only the first command is judged";
  again();
  start({}, JobsFormat::kLines);
  send("[\n");
  finish();
  take(0);
  EXPECT_EQ(items_.size(), 1U);
  EXPECT_EQ(problem_, "");
}

TEST_F(StreamOnPipe, ReadsNoFurtherThanItsLimit) {
  start({5, 1 << 20});
  std::string text;
  for (int i = 0; i < 100; ++i) text += "{\"cmd\":\"" + std::to_string(i) + "\"}\n";
  send(text);
  finish();
  take(5);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));  // time to go too far
  EXPECT_TRUE(reader_->take().items.empty());
  for (std::size_t i = 0; i < 95; ++i) {
    reader_->released(1, job(i).loaded.facts.payload_bytes);
    take(i + 6);
    ASSERT_EQ(items_.size(), i + 6);
  }
  EXPECT_FALSE(ended_);
  reader_->released(5, 0);
  take(0);
  EXPECT_EQ(items_.size(), 100U);
}

TEST_F(StreamOnPipe, PayloadsCountToo) {
  start({1000, 3000});
  const std::string line = "{\"cmd\":\"" + std::string(1000, 'x') + "\"}\n";
  send(line + line + line + line + line);
  take(3);
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_TRUE(reader_->take().items.empty());
  reader_->released(1, job(0).loaded.facts.payload_bytes);
  take(4);
}

TEST_F(StreamOnPipe, AnEndlessLineIsOneErrorAndSkipped) {
  start();
  send("{\"cmd\":\"a\"}\n");
  std::thread writer([this] {
    const std::string block(1 << 20, 'x');
    for (int i = 0; i < 20; ++i) send(block);
    send("\n{\"cmd\":\"b\"}\n" + std::string(2 << 20, 'y'));
    finish();
  });
  take(0);
  writer.join();
  ASSERT_EQ(items_.size(), 4U);
  EXPECT_EQ(items_[1].line, 2U);
  EXPECT_EQ(error(1).column, kLineBytesMax + 1);
  EXPECT_EQ(items_[2].line, 3U);
  EXPECT_EQ(job(2).loaded.facts.line, 3U);
  EXPECT_EQ(error(3).column, kLineBytesMax + 1) << "also if the input ends inside of it";
}

TEST_F(StreamOnPipe, ShellLines) {
  start({}, JobsFormat::kLines);
  send("# comment\nls\n");
  finish();
  take(0);
  ASSERT_EQ(items_.size(), 1U);
  EXPECT_EQ(job(0).loaded.work, "{\"cmd\":\"ls\"}");
  EXPECT_EQ(job(0).loaded.facts.line, 2U);
}

TEST_F(StreamOnPipe, StopsWhileNothingComes) {
  start();
  send("{\"cmd\":\"a\"}\n{\"cm");
  take(1);
  const auto before = std::chrono::steady_clock::now();
  reader_.reset();
  const auto took = std::chrono::steady_clock::now() - before;
  EXPECT_LT(took, std::chrono::seconds(4));
}

TEST_F(StreamOnPipe, StopsWhileItIsFull) {
  start({2, 1 << 20});
  send("{\"cmd\":\"a\"}\n{\"cmd\":\"a\"}\n{\"cmd\":\"a\"}\n");
  take(2);
  reader_.reset();
}

TEST(StreamInputs, ADirectoryAsStdinIsAReadError) {
  const int fd = open("/", O_RDONLY | O_CLOEXEC);
  std::atomic<bool> rung{false};
  {
    StreamReader reader(fd, JobsFormat::kJsonLines, {}, [&rung] { rung = true; });
    while (!rung) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    const StreamBatch batch = reader.take();
    EXPECT_TRUE(batch.ended);
    EXPECT_NE(batch.problem, "");
  }
  close(fd);
}

TEST(StreamInputs, AFifoWaitsForItsWriter) {
  std::string pattern = (std::filesystem::temp_directory_path() / "workpool-fifo-XXXXXX").string();
  const std::string folder = mkdtemp(pattern.data());
  ASSERT_EQ(mkfifo((folder + "/jobs").c_str(), 0600), 0);
  {
    auto opened = JobsInput::open(folder + "/jobs");
    ASSERT_TRUE(std::holds_alternative<JobsInput>(opened));
    std::atomic<int> rung{0};
    StreamReader reader(std::get<JobsInput>(opened).fd(), JobsFormat::kJsonLines, {}, [&rung] { ++rung; });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(rung, 0) << "no writer yet is not the end of the input";
    const int writer = open((folder + "/jobs").c_str(), O_WRONLY | O_CLOEXEC);
    ASSERT_EQ(write(writer, "{\"cmd\":\"a\"}\n", 12), 12);
    close(writer);
    std::size_t items = 0;
    bool ended = false;
    while (!ended) {
      const StreamBatch batch = reader.take();
      items += batch.items.size();
      ended = batch.ended;
    }
    EXPECT_EQ(items, 1U);
  }
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace workpool::dispatcher
