// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/journal_writer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "common/formats/results_file.h"
#include "tests/unit_io/forked.h"

namespace workpool::dispatcher {
namespace {

using Clock = std::chrono::steady_clock;
constexpr Duration kGenerous = seconds(20);

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/workpool-writer-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() {
    if (mounted_) umount2(path_.c_str(), MNT_DETACH);
    std::remove(file().c_str());
    rmdir(path_.c_str());
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  // A file system of its own and of that size over the folder; false if this is not allowed.
  bool mount_small(std::size_t bytes) {
    const std::string size = "size=" + std::to_string(bytes);
    mounted_ = mount("tmpfs", path_.c_str(), "tmpfs", 0, size.c_str()) == 0;
    return mounted_;
  }
  bool resize(std::size_t bytes) {
    return mount("tmpfs", path_.c_str(), "tmpfs", MS_REMOUNT, ("size=" + std::to_string(bytes)).c_str()) == 0;
  }
  std::string file() const { return path_ + "/results.jsonl"; }
  std::string content() const {
    std::ifstream in(file());
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }

 private:
  std::string path_;
  bool mounted_ = false;
};

Record line(std::uint64_t number, std::size_t bytes = 0) {
  Record result;
  result.facts.id = "job" + std::to_string(number);
  result.facts.line = number;
  result.attempt = 1;
  result.outcome.command.emplace();
  result.outcome.command->exit = 0;
  result.outcome.command->standard_output = std::string(bytes, 'x');
  result.worker = "w1";
  result.facts.spec = spec_of_work(result.facts.id);
  return result;
}

std::vector<JournalEntry> lines(std::uint64_t first, std::uint64_t count, std::size_t bytes = 0) {
  std::vector<JournalEntry> all;
  for (std::uint64_t i = 0; i < count; ++i) all.emplace_back(line(first + i, bytes));
  return all;
}

// Every line whole, valid and in order from job1 on; how many there are.
std::uint64_t whole_lines(const std::string& content) {
  std::uint64_t count = 0;
  std::istringstream in(content);
  ReplayedLine read;
  for (std::string text; std::getline(in, text);) {
    EXPECT_EQ(read_result_line(text, read), LineDamage::kNone) << "line " << count + 1;
    EXPECT_EQ(read.id, "job" + std::to_string(++count));
  }
  EXPECT_TRUE(content.empty() || content.back() == '\n');
  return count;
}

int open_results(const Folder& folder) {
  return open(folder.file().c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

bool until(const std::function<bool()>& holds) {
  const Clock::time_point limit = Clock::now() + kGenerous;
  while (!holds()) {
    if (Clock::now() > limit) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
  return true;
}

struct Pipe {
  int read = -1;
  int write = -1;
  Pipe() {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    read = ends[0];
    write = ends[1];
  }
  ~Pipe() {
    close_read();
    close(write);
  }
  void close_read() {
    if (read >= 0) close(read);
    read = -1;
  }
};

// ---- regular files ----

TEST(JournalWriter, WritesEverythingInOrderAndSaysSo) {
  Folder folder;
  const int fd = open_results(folder);
  std::atomic<int> calls{0};
  {
    JournalWriter writer({fd, true}, Durability::kSync, [&] { ++calls; });
    EXPECT_EQ(writer.state(), JournalState{});
    for (std::uint64_t i = 0; i < 50; ++i) writer.append(lines(1 + i * 100, 100));
    ASSERT_TRUE(writer.finish(kGenerous));
    EXPECT_EQ(writer.state().durable, 5000U);
    EXPECT_EQ(writer.state().error, 0);
  }
  EXPECT_GT(calls, 0);
  EXPECT_EQ(whole_lines(folder.content()), 5000U);
  close(fd);
}

TEST(JournalWriter, ASingleLineIsDurableAtOnce) {
  Folder folder;
  const int fd = open_results(folder);
  JournalWriter writer({fd, true}, Durability::kOs, nullptr);
  for (std::uint64_t i = 1; i <= 20; ++i) {
    writer.append(lines(i, 1));
    ASSERT_TRUE(until([&] { return writer.state().durable == i; }));
  }
  EXPECT_EQ(whole_lines(folder.content()), 20U);
  close(fd);
}

TEST(JournalWriter, AppendsBehindWhatIsThereAlsoWithoutAppendMode) {
  Folder folder;
  std::ofstream(folder.file()) << "before\n";
  const int fd = open(folder.file().c_str(), O_RDWR | O_CLOEXEC);
  {
    JournalWriter writer({fd, true}, Durability::kOs, nullptr);
    writer.append(lines(1, 3));
    EXPECT_TRUE(writer.finish(kGenerous));
  }
  const std::string content = folder.content();
  EXPECT_EQ(content.substr(0, 7), "before\n");
  EXPECT_EQ(whole_lines(content.substr(7)), 3U);
  close(fd);
}

TEST(JournalWriter, TheDestructorWritesWhatIsLeft) {
  Folder folder;
  const int fd = open_results(folder);
  { JournalWriter({fd, true}, Durability::kSync, nullptr).append(lines(1, 1000)); }
  EXPECT_EQ(whole_lines(folder.content()), 1000U);
  close(fd);
}

TEST(JournalWriter, LongLinesPassThroughBlocks) {
  Folder folder;
  const int fd = open_results(folder);
  {
    JournalWriter writer({fd, true}, Durability::kOs, nullptr);
    writer.append(lines(1, 40, 300'000));
    EXPECT_TRUE(writer.finish(kGenerous));
  }
  EXPECT_EQ(whole_lines(folder.content()), 40U);
  close(fd);
}

TEST(JournalWriter, AFullDiskPausesAndGoesOnWithoutATornLine) {
  Folder folder;
  if (!folder.mount_small(64 << 10)) GTEST_SKIP() << "mounting a tmpfs needs root";
  const int fd = open_results(folder);
  {
    JournalWriter writer({fd, true}, Durability::kSync, nullptr);
    writer.append(lines(1, 500, 100));
    ASSERT_TRUE(until([&] { return writer.state().no_space; }));
    const JournalState full = writer.state();
    EXPECT_TRUE(full.blocked);
    EXPECT_EQ(full.error, 0);
    EXPECT_GT(full.durable, 100U) << "what found room is durable";
    EXPECT_LT(full.durable, 500U);
    // Between two tries nothing but whole lines is there; a try is over in less than the pause.
    EXPECT_TRUE(until([&] { return folder.content().back() == '\n'; }));
    EXPECT_FALSE(writer.finish(milliseconds(450)));
    EXPECT_EQ(writer.state().durable, full.durable);
    ASSERT_TRUE(folder.resize(4 << 20));
    EXPECT_TRUE(writer.finish(kGenerous));
    EXPECT_FALSE(writer.state().no_space);
    EXPECT_FALSE(writer.state().blocked);
  }
  EXPECT_EQ(whole_lines(folder.content()), 500U);
  close(fd);
}

TEST(JournalWriter, LeavesAFullDiskInTime) {
  Folder folder;
  if (!folder.mount_small(16 << 10)) GTEST_SKIP() << "mounting a tmpfs needs root";
  const int fd = open_results(folder);
  const Clock::time_point start = Clock::now();
  { JournalWriter({fd, true}, Durability::kSync, nullptr).append(lines(1, 500)); }
  EXPECT_LT(Clock::now() - start, seconds(10)) << "promised: 2.5 s";
  const std::uint64_t count = whole_lines(folder.content());
  EXPECT_GT(count, 0U);
  EXPECT_LT(count, 500U);
  close(fd);
}

TEST(JournalWriter, ASizeLimitIsFinalAndLeavesWholeLines) {
  WORKPOOL_SKIP_WHERE_FORK_MAY_HANG();
  Folder folder;
  const int code = code_of_child([&] {
    const rlimit limit{10'000, 10'000};
    setrlimit(RLIMIT_FSIZE, &limit);
    JournalState state;
    bool durable = true;
    {
      JournalWriter writer({open_results(folder), true}, Durability::kSync, nullptr);
      writer.append(lines(1, 200));
      durable = writer.finish(kGenerous);
      state = writer.state();
    }
    return !durable && state.error == EFBIG && state.durable == 0 ? 0 : 1;
  });
  EXPECT_EQ(code, 0) << "SIGXFSZ must not end it, EFBIG must";
  const std::string content = folder.content();
  EXPECT_GT(whole_lines(content), 10U);
  EXPECT_LE(content.size(), 10'000U);
  EXPECT_GT(content.size(), 9'000U);
}

TEST(JournalWriter, NothingIsWrittenAfterAFinalError) {
  Folder folder;
  close(open_results(folder));
  const int fd = open(folder.file().c_str(), O_RDONLY | O_CLOEXEC);
  JournalWriter writer({fd, true}, Durability::kSync, nullptr);
  writer.append(lines(1, 1));
  ASSERT_TRUE(until([&] { return writer.state().error != 0; }));
  EXPECT_EQ(writer.state().error, EBADF);
  writer.append(lines(2, 1));
  EXPECT_FALSE(writer.finish(milliseconds(10)));
  EXPECT_EQ(writer.state().durable, 0U);
  close(fd);
}

TEST(JournalWriter, AFailedSyncIsFinalAndNothingOfItIsDurable) {
  Pipe pipe;  // fdatasync refuses it
  JournalWriter writer({pipe.write, true}, Durability::kSync, nullptr);
  writer.append(lines(1, 1));
  EXPECT_FALSE(writer.finish(kGenerous));
  EXPECT_EQ(writer.state().error, EINVAL);
  EXPECT_EQ(writer.state().durable, 0U);
  EXPECT_FALSE(writer.state().blocked);
  writer.append(lines(2, 1));
  char bytes[4096];
  const ssize_t count = read(pipe.read, bytes, sizeof bytes);
  EXPECT_EQ(whole_lines(std::string(bytes, static_cast<std::size_t>(count))), 1U);
}

// ---- streams ----

TEST(JournalWriter, AStreamGetsALineAtOnce) {
  Pipe pipe;
  JournalWriter writer({pipe.write, false}, Durability::kSync, nullptr);
  for (std::uint64_t i = 1; i <= 5; ++i) {
    writer.append(lines(i, 1));
    pollfd ready{pipe.read, POLLIN, 0};
    ASSERT_EQ(poll(&ready, 1, 20'000), 1);
    char bytes[4096];
    const ssize_t count = read(pipe.read, bytes, sizeof bytes);
    ASSERT_GT(count, 0);
    EXPECT_EQ(bytes[count - 1], '\n');
    EXPECT_TRUE(until([&] { return writer.state().durable == i; }));
  }
}

TEST(JournalWriter, ASlowReaderBlocksAndGetsEverything) {
  Pipe pipe;
  std::string received;
  {
    JournalWriter writer({pipe.write, false}, Durability::kOs, nullptr);
    writer.append(lines(1, 2000, 100));
    // What the pipe took counts.
    ASSERT_TRUE(until([&] { return writer.state().blocked && writer.state().durable > 0; }));
    const JournalState blocked = writer.state();
    EXPECT_FALSE(blocked.no_space);
    EXPECT_LT(blocked.durable, 2000U);
    // Not blocking: the last byte may be here before the writer has said so.
    fcntl(pipe.read, F_SETFL, O_NONBLOCK);
    char bytes[10'000];
    EXPECT_TRUE(until([&] {
      const ssize_t count = read(pipe.read, bytes, sizeof bytes);
      if (count > 0) received.append(bytes, static_cast<std::size_t>(count));
      return writer.state().durable == 2000;
    }));
    EXPECT_TRUE(writer.finish(kGenerous));
    EXPECT_FALSE(writer.state().blocked);
  }
  char bytes[10'000];
  for (ssize_t count = 0; (count = read(pipe.read, bytes, sizeof bytes)) > 0;) {
    received.append(bytes, static_cast<std::size_t>(count));
  }
  EXPECT_EQ(whole_lines(received), 2000U);
}

TEST(JournalWriter, LeavesABlockedStreamInTime) {
  Pipe pipe;
  const Clock::time_point start = Clock::now();
  { JournalWriter({pipe.write, false}, Durability::kOs, nullptr).append(lines(1, 2000, 100)); }
  EXPECT_LT(Clock::now() - start, seconds(10)) << "promised: 2.5 s";
}

TEST(JournalWriter, AClosedPipeIsFinalAndEndsNobody) {
  Pipe pipe;
  std::atomic<bool> told{false};
  JournalWriter writer({pipe.write, false}, Durability::kOs, [&] { told = true; });
  pipe.close_read();
  writer.append(lines(1, 1));
  EXPECT_TRUE(until([&] { return told.load(); }));
  EXPECT_EQ(writer.state().error, EPIPE);
  EXPECT_FALSE(writer.finish(kGenerous));
}

TEST(JournalWriter, AReaderThatLeavesABlockedPipeIsFinal) {
  Pipe pipe;
  JournalWriter writer({pipe.write, false}, Durability::kOs, nullptr);
  writer.append(lines(1, 2000, 100));
  ASSERT_TRUE(until([&] { return writer.state().blocked; }));
  pipe.close_read();
  EXPECT_FALSE(writer.finish(kGenerous));
  EXPECT_EQ(writer.state().error, EPIPE);
}

TEST(JournalWriter, AFullDeviceIsFinal) {
  const int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  JournalWriter writer({fd, false}, Durability::kSync, nullptr);
  writer.append(lines(1, 1));
  EXPECT_FALSE(writer.finish(kGenerous));
  EXPECT_EQ(writer.state().error, ENOSPC);
  EXPECT_FALSE(writer.state().no_space);
  close(fd);
}

TEST(JournalWriter, ANonBlockingStreamOfOthersStaysAsItIs) {
  Pipe pipe;
  const int before = fcntl(pipe.write, F_GETFL);
  {
    JournalWriter writer({pipe.write, false}, Durability::kOs, nullptr);
    writer.append(lines(1, 10));
    EXPECT_TRUE(writer.finish(kGenerous));
    EXPECT_EQ(fcntl(pipe.write, F_GETFL), before);
  }
  fcntl(pipe.write, F_SETFL, before | O_NONBLOCK);
  JournalWriter writer({pipe.write, false}, Durability::kOs, nullptr);
  writer.append(lines(11, 2000, 100));
  EXPECT_TRUE(until([&] { return writer.state().blocked; }));
  EXPECT_EQ(writer.state().error, 0);
}

// What is written into a file that nobody finds is as lost as what cannot be written.
TEST(JournalWriter, AFileThatIsNotThereAnyMoreIsAnError) {
  using Change = std::function<void(const std::string&)>;
  const std::vector<Change> changes = {
      [](const std::string& file) { std::filesystem::remove(file); },
      [](const std::string& file) { std::filesystem::rename(file, file + ".away"); },
      [](const std::string& file) {
        std::filesystem::copy(file, file + ".copy");
        std::filesystem::rename(file + ".copy", file);
      },
      [](const std::string& file) { std::filesystem::resize_file(file, 10); },
  };
  for (const Durability durability : {Durability::kSync, Durability::kOs}) {
    for (const Change& change : changes) {
      const Folder folder;
      const std::string file = folder.file();
      const int fd = open_results(folder);
      JournalWriter writer({fd, true, file}, durability, nullptr);
      writer.append(lines(1, 100));
      ASSERT_TRUE(writer.finish(kGenerous));
      EXPECT_TRUE(writer.in_place());
      change(file);
      EXPECT_FALSE(writer.in_place());
      writer.append(lines(101, 1));
      EXPECT_TRUE(until([&] { return writer.state().error == ESTALE; }));
      std::filesystem::remove(file + ".away");
      close(fd);
    }
  }
}

}  // namespace
}  // namespace workpool::dispatcher
