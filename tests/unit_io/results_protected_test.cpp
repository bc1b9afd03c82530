// SPDX-License-Identifier: MIT
// Root resumes a user's run in a folder like /tmp. If fs.protected_regular is on, as on most machines, Linux
// refuses to open such a file with O_CREAT.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <string>

#include "dispatcher/io/results/results_replay.h"
#include "dispatcher/io/results/results_store.h"
#include "dispatcher/io/results/store_error.h"
#include "tests/unit_io/forked.h"
#include "tests/unit_io/results_fixture.h"

namespace workpool::dispatcher {
namespace {

constexpr char kJobsPath[] = "/jobs/a.jsonl";

class ProtectedResults : public testing::Test {
 protected:
  ProtectedResults() {
    folder_.write(folder_.results(), line_of("a"));
    std::string state = R"({"state":1,"run":")" + hex64(kRun.value) + R"(","jobs":")" + kJobsPath + '"';
    append_crc(state, 0);
    folder_.write(folder_.state(), state);
  }
  RunId resume() const {
    StoreOptions given;
    given.path = folder_.results();
    given.jobs_path = kJobsPath;
    ResultsStore store(given);
    JobIndex index = index_of({"a"});
    const ReplaySummary summary = replay_into(store.fd(), index);
    store.refuse_if_foreign(summary);
    return store.open_run(summary, RunId{1});
  }

  ResultsFolder folder_;
};

TEST_F(ProtectedResults, AnotherUsersFileInAStickyFolderIsResumed) {
  if (geteuid() != 0) GTEST_SKIP() << "giving a file away needs root";
  ASSERT_EQ(chmod(folder_.path("").c_str(), 01777), 0);
  for (const std::string& file : {folder_.results(), folder_.state()})
    ASSERT_EQ(chown(file.c_str(), 65'534, 65'534), 0);
  EXPECT_EQ(resume(), kRun);
}

// From now on no open of this process may ask for a new file.
bool refuse_to_create() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{sizeof program / sizeof program[0], program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0 &&
         ::open("/dev/null", O_RDWR | O_CREAT, 0600) == -1 && errno == EACCES;
}

// The same on a machine that has it off.
TEST_F(ProtectedResults, FilesThatAreThereAreOpenedWithoutAskingForNewOnes) {
  WORKPOOL_SKIP_WHERE_FORK_MAY_HANG();
  const int code = code_of_child([&] {
    if (!refuse_to_create()) return 3;
    try {
      return resume() == kRun ? 0 : 1;
    } catch (const StoreError&) {
      return 2;
    }
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace workpool::dispatcher
