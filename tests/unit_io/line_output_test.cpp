// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/line_output.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>
#include <utility>

#include "tests/unit_io/results_fixture.h"

namespace workpool::dispatcher {
namespace {

using Ending = LineOutput::Ending;

class Lines : public testing::Test {
 protected:
  ~Lines() override {
    if (fd_ >= 0) close(fd_);
  }
  int open_file(const std::string& path) {
    return fd_ = open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  }
  std::string content() { return folder_.read(folder_.results()); }

  ResultsFolder folder_;
  int fd_ = -1;
};

TEST_F(Lines, AFileGetsThemAtItsEnd) {
  folder_.write(folder_.results(), "before\n");
  LineOutput output(open_file(folder_.results()), true);
  const LineOutput::Attempt attempt = output.write("a\nb\n");
  EXPECT_EQ(attempt.ending, Ending::kDone);
  EXPECT_EQ(attempt.bytes, 4U);
  EXPECT_EQ(output.sync(), 0);
  EXPECT_EQ(content(), "before\na\nb\n");
}

TEST_F(Lines, ItOutlivesTheDescriptorItWasMadeOf) {
  LineOutput output(open_file(folder_.results()), true);
  close(fd_);
  fd_ = open("/dev/null", O_WRONLY | O_CLOEXEC);  // takes the number
  EXPECT_EQ(output.write("a\n").ending, Ending::kDone);
  EXPECT_EQ(content(), "a\n");
}

TEST_F(Lines, AFullDiskLeavesWholeLinesAndTakesTheRestLater) {
  const std::string small = folder_.path("small");
  std::filesystem::create_directory(small);
  if (mount("tmpfs", small.c_str(), "tmpfs", 0, "size=8192") != 0) GTEST_SKIP() << "a mount needs root";
  const std::string file = small + "/results.jsonl";
  {
    LineOutput output(open_file(file), true);
    std::string lines;
    while (lines.size() < 20'000) lines += std::string(98, 'x') + "\n";
    const LineOutput::Attempt attempt = output.write(lines);
    EXPECT_EQ(attempt.ending, Ending::kNoSpace);
    EXPECT_EQ(attempt.error, ENOSPC);
    EXPECT_EQ(attempt.bytes % 99, 0U) << "whole lines";
    EXPECT_GT(attempt.bytes, 0U);
    EXPECT_EQ(folder_.read(file), lines.substr(0, attempt.bytes)) << "half a line was cut off again";
    mount("tmpfs", small.c_str(), "tmpfs", MS_REMOUNT, "size=1m");
    EXPECT_EQ(output.write(lines.substr(attempt.bytes)).ending, Ending::kDone);
    EXPECT_EQ(folder_.read(file), lines);
  }
  close(std::exchange(fd_, -1));
  umount2(small.c_str(), MNT_DETACH);
}

TEST_F(Lines, AStreamThatTakesNoMoreIsNotReady) {
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  LineOutput output(ends[1], false);
  const std::string much(1 << 20, 'x');
  const LineOutput::Attempt attempt = output.write(much);
  EXPECT_EQ(attempt.ending, Ending::kNotReady);
  EXPECT_LT(attempt.bytes, much.size());
  EXPECT_GT(attempt.bytes, 0U);
  close(ends[0]);
  output.wait_ready(seconds(20));  // it has failed, and write says how
  close(ends[1]);
}

TEST_F(Lines, OtherErrorsAreFinal) {
  const int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
  LineOutput output(fd, true);
  const LineOutput::Attempt attempt = output.write("a\n");
  EXPECT_EQ(attempt.ending, Ending::kError);
  EXPECT_EQ(attempt.error, EBADF);
  close(fd);
}

TEST_F(Lines, AFileThatIsNotWholeAtItsPathIsMisplaced) {
  LineOutput output(open_file(folder_.results()), true);
  output.write("a\nb\n");
  EXPECT_EQ(output.misplaced(folder_.results()), 0);
  std::filesystem::resize_file(folder_.results(), 2);
  EXPECT_EQ(output.misplaced(folder_.results()), ESTALE) << "cut short";
  output.write("c\nd\n");
  std::filesystem::rename(folder_.results(), folder_.path("away"));
  EXPECT_EQ(output.misplaced(folder_.results()), ESTALE);
  folder_.write(folder_.results(), "a\nb\nc\nd\n");
  EXPECT_EQ(output.misplaced(folder_.results()), ESTALE) << "another file";
}

}  // namespace
}  // namespace workpool::dispatcher
