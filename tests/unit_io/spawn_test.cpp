// SPDX-License-Identifier: MIT
// What a child starts with if the kernel lacks close_range.
#include "worker/io/process/spawn.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>

#include <gtest/gtest.h>

#include "tests/unit_io/forked.h"
#include "tests/unit_io/processes.h"

namespace workpool::worker {
namespace {

// Nobody opens it, so nobody has a reason to close it.
constexpr int kNeverOpen = 500;

// From now on close_range fails in this process and its children, as in a container whose filter does not
// know it, and whoever closes what was never open is killed.
bool take_close_range_away() {
  sock_filter program[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 3, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kNeverOpen, 2, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
  };
  const sock_fprog filter{sizeof program / sizeof program[0], program};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0 &&
         ::syscall(SYS_close_range, 1000U, 1000U, 0U) == -1 && errno == ENOSYS;
}

// 0 = the child had nothing open but the standard three and the directory that it lists.
int run_and_check_descriptors(Launcher& launcher, const Folder& folder) {
  const std::string output = folder.path("open");
  const Descriptor null = lifted(::open("/dev/null", O_RDWR));
  const Descriptor out = lifted(::open(output.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600));
  const char* const argv[] = {"ls", "/proc/self/fd", nullptr};
  const char* const envp[] = {nullptr};
  const char* const programs[] = {"/bin/ls", nullptr};
  SpawnRequest request;
  request.argv = const_cast<char* const*>(argv);
  request.envp = const_cast<char* const*>(envp);
  request.programs = programs;
  request.standard_input = null.get();
  request.standard_output = out.get();
  request.standard_error = null.get();
  const Spawned spawned = launcher.spawn(request);
  if (!spawned.is_running()) return 2;
  int status = 0;
  ::waitpid(spawned.pid, &status, 0);
  return status == 0 && read_text(output) == "0\n1\n2\n3\n" ? 0 : 3;
}

TEST(SpawnTest, WhereTheKernelLacksCloseRangeNothingIsInheritedAndTheLimitDoesNotMatter) {
  WORKPOOL_SKIP_WHERE_FORK_MAY_HANG();
  const Folder folder;
  const int code = code_of_child([&] {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    // More than one reading of the list holds, and one far away.
    if (::dup2(2, 2 * kNeverOpen) < 0) return 5;
    for (int i = 0; i < 300; ++i) ::fcntl(2, F_DUPFD, 3);
    if (!take_close_range_away()) return 4;
    Launcher launcher;
    return run_and_check_descriptors(launcher, folder);
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace workpool::worker
