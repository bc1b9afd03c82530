// SPDX-License-Identifier: MIT
// Threads when the system has few or none to give.
#include "common/io/threads.h"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <system_error>
#include <variant>

#include "dispatcher/io/jobs/jobs_indexer.h"
#include "dispatcher/io/jobs/jobs_input.h"
#include "tests/unit_io/forked.h"

namespace workpool {
namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kAddressSpaceIsTheSanitizers = true;
#else
constexpr bool kAddressSpaceIsTheSanitizers = false;
#endif

constexpr std::uint64_t kStackBytes = 1 << 30;

// From here on the process has room for `threads` of them and for a little more, but not for another.
void limit_threads(std::uint64_t threads) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_setattr_default_np(&attributes);
  std::ifstream statm("/proc/self/statm");
  std::uint64_t pages = 0;
  statm >> pages;
  const std::uint64_t used = pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  const rlim_t limit = used + threads * kStackBytes + kStackBytes / 2;
  const rlimit room{limit, limit};
  ::setrlimit(RLIMIT_AS, &room);
}

bool any_blocked() {
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, nullptr, &mask);
  return sigismember(&mask, SIGTERM) == 1 || sigismember(&mask, SIGINT) == 1;
}

TEST(Threads, BlockAllSignalsForThemselvesOnly) {
  bool blocked = false;
  start_thread([&blocked] { blocked = any_blocked(); }).join();
  EXPECT_TRUE(blocked);
  EXPECT_FALSE(any_blocked());
}

TEST(Threads, LeaveTheMaskAsItWasWhereNoneCanStart) {
  if (kAddressSpaceIsTheSanitizers) GTEST_SKIP() << "no limit on the address space under a sanitizer";
  EXPECT_EQ(code_of_child([] {
              limit_threads(0);
              try {
                start_thread([] {}).join();
                return 1;
              } catch (const std::system_error&) {
                return any_blocked() ? 2 : 0;
              }
            }),
            0);
}

// A file of many segments, with a bad line at its end.
int index_with_threads(std::uint64_t threads) {
  std::string path = testing::TempDir() + "workpool-threads-XXXXXX";
  const int fd = ::mkstemp(path.data());
  if (fd < 0) return 10;
  std::string text;
  for (int n = 0; n < 500; ++n) text += "{\"cmd\":[\"echo\",\"" + std::to_string(n) + "\"]}\n";
  text += "no job\n";
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  ::close(fd);
  const auto input = dispatcher::JobsInput::open(path);
  ::unlink(path.c_str());
  if (!written || !std::holds_alternative<dispatcher::JobsInput>(input)) return 11;
  limit_threads(threads);
  dispatcher::JobIndex index;
  const auto report = dispatcher::index_jobs_file(std::get<dispatcher::JobsInput>(input),
                                                  JobsFormat::kJsonLines, index, {4, 1000});
  if (report.problem) return 12;
  if (index.size() != 500) return 13;
  return report.error_count == 1 && report.errors[0].line == 501 ? 0 : 14;
}

TEST(Threads, AJobsFileIsIndexedByAsManyAsThereAre) {
  if (kAddressSpaceIsTheSanitizers) GTEST_SKIP() << "no limit on the address space under a sanitizer";
  for (const std::uint64_t threads : {0, 1, 2}) {
    EXPECT_EQ(code_of_child([threads] { return index_with_threads(threads); }), 0) << threads << " threads";
  }
}

}  // namespace
}  // namespace workpool
