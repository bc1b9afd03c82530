// SPDX-License-Identifier: MIT
// The readers of JOBS when a read does not return: the end of the run does not wait for it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <variant>

#include "dispatcher/io/jobs/jobs_indexer.h"
#include "dispatcher/io/jobs/jobs_reader.h"
#include "dispatcher/io/jobs/stream_reader.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kHang = std::chrono::seconds(15);
constexpr auto kPromised = std::chrono::milliseconds(200);
constexpr int kSlack = 4;

std::atomic<int> hanging_fd{-1};
std::atomic<int> hanging_reads{0};

template <typename Condition>
bool until(Condition condition) {
  const auto limit = Clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (Clock::now() > limit) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace

// Takes the place of the C library's in this program. On `hanging_fd` it is the read of a dead disk.
extern "C" ssize_t pread(int fd, void* to, size_t size, off_t offset) {
  if (fd >= 0 && fd == hanging_fd) {
    ++hanging_reads;
    const auto limit = Clock::now() + kHang;
    while (fd == hanging_fd && Clock::now() < limit)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    --hanging_reads;
  }
  return syscall(SYS_pread64, fd, to, size, offset);
}

namespace workpool::dispatcher {
namespace {

TEST(HangingReads, OfTheJobsFileAreLeftBehind) {
  std::string path = testing::TempDir() + "workpool-hanging-XXXXXX";
  const int made = mkstemp(path.data());
  const std::string text = "{\"cmd\":\"a\"}\n";
  ASSERT_EQ(write(made, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  close(made);
  auto opened = JobsInput::open(path);
  unlink(path.c_str());
  const JobsInput& input = std::get<JobsInput>(opened);
  JobIndex index;
  ASSERT_TRUE(index_jobs_file(input, JobsFormat::kJsonLines, index).ok());
  index.open_queues(false);

  std::atomic<int> woken{0};
  auto reader =
      std::make_unique<JobsReader>(input.fd(), JobsFormat::kJsonLines, index, [&woken] { ++woken; });
  hanging_fd = input.fd();
  reader->load({0});
  ASSERT_TRUE(until([] { return hanging_reads == 1; }));
  const auto begin = Clock::now();
  reader.reset();
  EXPECT_LT(Clock::now() - begin, kPromised * kSlack);
  EXPECT_EQ(hanging_reads, 1);
  hanging_fd = -1;
  ASSERT_TRUE(until([] { return hanging_reads == 0; }));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(woken, 0) << "the loop is gone";
}

// A terminal that says it can be read, but waits for 25.5 s for more than the one byte that is there.
TEST(HangingReads, OfAStreamAreLeftBehind) {
  int master = -1;
  int slave = -1;
  termios raw{};
  cfmakeraw(&raw);
  raw.c_cc[VMIN] = 255;
  raw.c_cc[VTIME] = 255;
  ASSERT_EQ(openpty(&master, &slave, nullptr, &raw, nullptr), 0);
  auto reader =
      std::make_unique<StreamReader>(slave, JobsFormat::kJsonLines, JobDefaults{}, [] { ADD_FAILURE(); });
  ASSERT_EQ(write(master, "{", 1), 1);
  std::this_thread::sleep_for(std::chrono::milliseconds(100));  // to be in read(2) most likely
  const auto begin = Clock::now();
  reader.reset();
  EXPECT_LT(Clock::now() - begin, kPromised * kSlack);
  close(
      master);  // ends the read; its end stays open, since the thread that is left behind may still be in it
}

}  // namespace
}  // namespace workpool::dispatcher
