// SPDX-License-Identifier: MIT
#include "worker/io/process/spawn.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <system_error>

// glibc's clone by its other name. ThreadSanitizer replaces the first one by its own, which believes that the
// child has its own memory, and so would change ThreadSanitizer's records in the parent's memory.
extern "C" int clone_of_libc(int (*function)(void*), void* stack, int flags, void* argument,
                             ...) __asm__("__clone");

namespace workpool::worker {
namespace {

constexpr std::size_t kStackBytes = 64 * 1024;
constexpr int kSignals = 64;

// Between clone and exec everything goes through here: glibc's wrappers may be replaced by a sanitizer's,
// which would then change its records in the parent's memory.
#define WORKPOOL_IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

struct KernelSigaction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  unsigned long mask;
};

struct Shared {
  const SpawnRequest* request;
  const int* signals;  // whose dispositions are not the default, up to a 0
  SpawnStep failed;
  int error;
  std::size_t program;
};

WORKPOOL_IN_CHILD void fail(Shared& shared, SpawnStep step) {
  shared.failed = step;
  shared.error = errno;
  ::syscall(SYS_exit_group, 127);
}

// The engine's signal handlers must not run in the child, and the job must not ignore what the engine
// ignores.
WORKPOOL_IN_CHILD void reset_signals(const int* signals) {
  const KernelSigaction defaults{};
  for (; *signals != 0; ++signals) {
    ::syscall(SYS_rt_sigaction, *signals, &defaults, nullptr, sizeof defaults.mask);
  }
}

// An entry as getdents64 writes it; the name follows, ended by a zero.
struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t bytes;
  std::uint8_t type;
};

// The number that a name in /proc/self/fd stands for; -1 for `.` and `..`.
WORKPOOL_IN_CHILD int number_of(const char* name) {
  int number = *name >= '0' && *name <= '9' ? 0 : -1;
  for (; *name >= '0' && *name <= '9'; ++name) number = number * 10 + (*name - '0');
  return number;
}

// Closes what /proc lists as open; returns false if there is no such list.
WORKPOOL_IN_CHILD bool close_listed() {
  ::syscall(SYS_close, 3);  // makes room for the list itself, should the table be full
  const auto list = static_cast<int>(
      ::syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
  if (list < 0) return false;
  alignas(DirectoryEntry) char entries[4096];
  constexpr int kNameAt = offsetof(DirectoryEntry, type) + 1;
  // The kernel lists descriptors by number, so closing some meanwhile does not make it skip others.
  for (long size = 0; (size = ::syscall(SYS_getdents64, list, entries, sizeof entries)) > 0;) {
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(entries + at);
      const int fd = number_of(entries + at + kNameAt);
      if (fd >= 3 && fd != list) ::syscall(SYS_close, fd);
      at += entry->bytes;
    }
  }
  ::syscall(SYS_close, list);
  return true;
}

WORKPOOL_IN_CHILD void close_from_3() {
  if (::syscall(SYS_close_range, 3U, ~0U, 0U) == 0) return;
  // Kernels before 5.9, and containers whose filter does not know the call. One call for each number up to
  // the limit takes 0.3 s if that is 2^20.
  if (close_listed()) return;
  rlimit limit{};
  ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, nullptr, &limit);
  for (rlim_t fd = 3; fd < limit.rlim_cur; ++fd) ::syscall(SYS_close, static_cast<int>(fd));
}

// Like execvp, except that a file whose interpreter is missing is reported rather than skipped, and that no
// file is run by a shell.
WORKPOOL_IN_CHILD void execute(Shared& shared) {
  const SpawnRequest& request = *shared.request;
  bool denied = false;
  for (std::size_t i = 0; request.programs[i] != nullptr; ++i) {
    ::syscall(SYS_execve, request.programs[i], request.argv, request.envp);
    const int error = errno;
    if (error == EACCES) {
      if (!denied) shared.program = i;
      denied = true;
      continue;
    }
    if (error == ENOENT && ::syscall(SYS_faccessat, AT_FDCWD, request.programs[i], F_OK) == 0) {
      errno = ENOENT;
      shared.program = i;
      fail(shared, SpawnStep::kInterpreter);
    }
    if (error != ENOENT && error != ENOTDIR) {
      errno = error;
      shared.program = i;
      fail(shared, SpawnStep::kExec);
    }
  }
  errno = denied ? EACCES : ENOENT;
  fail(shared, SpawnStep::kExec);
}

WORKPOOL_IN_CHILD int child_main(void* argument) {
  Shared& shared = *static_cast<Shared*>(argument);
  const SpawnRequest& request = *shared.request;
  ::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
  if (::syscall(SYS_setsid) < 0) fail(shared, SpawnStep::kSession);
  reset_signals(shared.signals);
  // Fails only if the worker itself stands in a directory that it could not enter; then the child stands
  // there too.
  if (request.starting_fd >= 0) ::syscall(SYS_fchdir, request.starting_fd);
  if (request.directory != nullptr && ::syscall(SYS_chdir, request.directory) != 0) {
    fail(shared, SpawnStep::kDirectory);
  }
  const int streams[] = {request.standard_input, request.standard_output, request.standard_error};
  for (int fd = 0; fd < 3; ++fd) {
    if (::syscall(SYS_dup3, streams[fd], fd, 0) < 0) fail(shared, SpawnStep::kDescriptors);
  }
  close_from_3();
  if (request.descriptor_limit.rlim_cur != 0) {
    ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &request.descriptor_limit, nullptr);
  }
  if (request.core_limit.rlim_cur != 0) {
    ::syscall(SYS_prlimit64, 0, RLIMIT_CORE, &request.core_limit, nullptr);
  }
  if (!request.new_privs) ::syscall(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const unsigned long no_signals = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, nullptr, sizeof no_signals);
  execute(shared);
  return 127;
}

}  // namespace

bool is_lack_of_resources(int error) {
  return error == EMFILE || error == ENFILE || error == EAGAIN || error == ENOMEM;
}

bool Spawned::lacks_resources() const { return !is_running() && is_lack_of_resources(error); }

Launcher::Launcher() {
  stack_ =
      ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack_ == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap of a stack");
  // The kernel is asked, since glibc keeps two of the 64 for itself and says nothing about them.
  for (int signal = 1; signal <= kSignals; ++signal) {
    KernelSigaction now{};
    if (::syscall(SYS_rt_sigaction, signal, nullptr, &now, sizeof now.mask) == 0 && now.handler != SIG_DFL)
      signals_.push_back(signal);
  }
  signals_.push_back(0);
}

Launcher::~Launcher() { ::munmap(stack_, kStackBytes); }

Spawned Launcher::spawn(const SpawnRequest& request) {
  Shared shared{&request, signals_.data(), SpawnStep::kNone, 0, 0};
  // No signal may be delivered to the child while it still has the engine's handlers.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  int own = -1;
  int* const pidfd = request.pidfd != nullptr ? request.pidfd : &own;
  const int pid = clone_of_libc(child_main, static_cast<char*>(stack_) + kStackBytes,
                                CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &shared, pidfd);
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);

  Spawned result;
  if (pid < 0) {
    result.failed = SpawnStep::kClone;
    result.error = error;
    return result;
  }
  result.pid = pid;
  result.pidfd = Descriptor(*pidfd);
  result.failed = shared.failed;
  result.error = shared.error;
  result.program = shared.program;
  if (!result.is_running()) {
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED) != 0 && errno == EINTR) {
    }
  }
  return result;
}

Descriptor lifted(int fd) {
  if (fd < 0 || fd > 2) return Descriptor(fd);
  const int higher = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
  const int error = errno;
  ::close(fd);
  errno = error;
  return Descriptor(higher);
}

bool make_pipe(Pipe& pipe) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  pipe.read = lifted(ends[0]);
  pipe.write = lifted(ends[1]);
  return pipe.read.is_open() && pipe.write.is_open();
}

}  // namespace workpool::worker
