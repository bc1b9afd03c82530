// SPDX-License-Identifier: MIT
#include "worker/io/guard.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/io/clock.h"
#include "common/io/descriptor.h"
#include "worker/io/process/proc_files.h"
#include "worker/io/process/process_tree.h"

// Exists only if the build measures coverage; without the call _exit() would lose the counts.
extern "C" void gcov_dump() __asm__("__gcov_dump") __attribute__((weak));

namespace workpool::worker {
namespace {

// Neither this nor the command line may contain the name of our programs.
constexpr const char* kName = "wp-guard";
// An engine that stays stopped (SIGSTOP) for this many worker timeouts has long lost its jobs to others. Only
// when it is dead can the jobs that may have stopped it be reported.
constexpr int kStoppedTimeouts = 3;
// A guard that is this late to kill the engine was stopped itself.
constexpr Duration kStoppedWithIt = seconds(1);

// `pkill -f` and `ps` read the memory that the kernel put the arguments into. Its last byte must stay zero.
void rename_process() {
  ::prctl(PR_SET_NAME, kName, 0, 0, 0);
  const std::string fields = stat_fields(::getpid());
  const std::uint64_t start = stat_number(fields, kStatArguments).value_or(0);
  const std::uint64_t end = stat_number(fields, kStatArguments + 1).value_or(0);
  if (start == 0 || end <= start + 1) return;
  char* const memory = reinterpret_cast<char*>(start);  // NOLINT: an address of ours that the kernel reports
  std::memset(memory, 0, end - start);
  const auto length = std::min<std::size_t>(std::strlen(kName), end - start - 1);
  std::memcpy(memory, kName, length);  // NOLINT: the byte after it was zeroed
}

class Guard {
 public:
  explicit Guard(const EngineBirth& birth) : page_(*birth.page), control_fd_(birth.control_fd) {}

  void watch(pid_t engine);

 private:
  void wait();
  void reap();
  void kill_engine();

  SharedPage& page_;
  int control_fd_;  // -1 once its end was seen
  Descriptor signals_;
  pid_t engine_ = 0;  // 0 = it is dead
  EngineEnd end_;
  Time kill_stopped_at_ = kNever;
};

void Guard::watch(pid_t engine) {
  engine_ = engine;
  sigset_t children;
  ::sigemptyset(&children);
  ::sigaddset(&children, SIGCHLD);
  signals_ = Descriptor(::signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK));
  reap();
  while (engine_ != 0) wait();
  end_.left_some = !kill_descendants_of_self(kKillLeftovers, true);
  page_.note_engine_end(end_);
}

void Guard::wait() {
  // Without a descriptor for signals we poll for the engine's end a hundred times a second.
  int wait_ms = signals_.is_open() ? -1 : 10;
  if (kill_stopped_at_ != kNever) {
    const auto left = std::chrono::ceil<milliseconds>(kill_stopped_at_ - boot_time()).count();
    const auto bounded = static_cast<int>(std::clamp<std::int64_t>(left, 0, 3'600'000));
    wait_ms = wait_ms < 0 ? bounded : std::min(wait_ms, bounded);
  }
  pollfd watched[] = {{signals_.get(), POLLIN, 0}, {control_fd_, 0, 0}};
  ::poll(watched, 2, wait_ms);
  signalfd_siginfo ignored{};
  while (::read(signals_.get(), &ignored, sizeof ignored) == static_cast<ssize_t>(sizeof ignored)) {
  }
  reap();
  if (watched[1].revents != 0) {
    control_fd_ = -1;
    kill_engine();
  }
  const Time now = boot_time();
  if (now >= kill_stopped_at_ && now >= kill_stopped_at_ + kStoppedWithIt) {
    // The guard was stopped too (Ctrl-Z), so the engine gets the full time again.
    kill_stopped_at_ = now + kStoppedTimeouts * page_.worker_timeout();
  } else if (now >= kill_stopped_at_) {
    kill_stopped_at_ = kNever;
    end_.was_stopped = engine_ != 0;
    kill_engine();
  }
}

// The engine dies before its jobs: alive, it would report their deaths as their own results.
void Guard::kill_engine() {
  if (engine_ != 0) ::kill(engine_, SIGKILL);
}

// Reaps the engine and whatever became our child.
void Guard::reap() {
  while (true) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WSTOPPED | WCONTINUED | WNOHANG) != 0 || info.si_pid == 0) return;
    if (info.si_pid != engine_) continue;
    if (info.si_code == CLD_STOPPED) {
      kill_stopped_at_ = boot_time() + kStoppedTimeouts * page_.worker_timeout();
    } else if (info.si_code == CLD_CONTINUED) {
      kill_stopped_at_ = kNever;
    } else {
      end_.code = info.si_code;
      end_.status = info.si_status;
      engine_ = 0;
    }
  }
}

}  // namespace

void be_guard(const EngineBirth& birth, const std::function<void(const EngineBirth&)>& engine) {
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGPIPE}) ::signal(signal, SIG_IGN);
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    engine(birth);
    std::abort();
  }
  if (pid < 0) {
    EngineEnd none;
    none.status = errno;
    birth.page->note_engine_end(none);
  } else {
    rename_process();  // the engine keeps its own name
    Guard(birth).watch(pid);
  }
  if (gcov_dump != nullptr) gcov_dump();
  ::_exit(0);
}

}  // namespace workpool::worker
