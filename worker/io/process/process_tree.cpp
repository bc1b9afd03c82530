// SPDX-License-Identifier: MIT
#include "worker/io/process/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>
#include <system_error>
#include <thread>

#include "common/io/clock.h"
#include "worker/io/process/child_environment.h"
#include "worker/io/process/proc_files.h"

namespace workpool::worker {
namespace {

// How often one call of members() looks again while adopted processes die faster than their list is read.
constexpr int kMembersAgain = 10;

// The list of the main thread's children. The kernel gives every adopted process to the main thread.
std::string own_children() { return path_of(::getpid(), "task/") + std::to_string(::getpid()) + "/children"; }

void append_pids(const std::string& text, std::vector<pid_t>& pids) {
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at < end) {
    pid_t pid = 0;
    const auto [next, error] = std::from_chars(at, end, pid);
    if (error == std::errc() && pid > 0) pids.push_back(pid);
    at = next + 1;
  }
}

// The children of all threads of `pid`.
void append_children(pid_t pid, std::vector<pid_t>& pids) {
  DIR* const tasks = ::opendir(path_of(pid, "task").c_str());
  if (tasks == nullptr) return;
  while (const dirent* task = ::readdir(tasks)) {
    if (task->d_name[0] == '.') continue;
    append_pids(read_file(path_of(pid, "task/") + task->d_name + "/children", kEnvironmentBytesMax), pids);
  }
  ::closedir(tasks);
}

// `pids` and everything below them; the list grows while it is walked.
std::vector<pid_t> with_descendants(std::vector<pid_t> pids) {
  for (std::size_t i = 0; i < pids.size(); ++i) append_children(pids[i], pids);
  return pids;
}

// Whether `pid` was certainly started before `limit`. The kernel reports the start in clock ticks since boot,
// rounded down.
bool started_before(pid_t pid, Time limit) {
  const auto ticks = stat_number(stat_fields(pid), kStatStartTime);
  if (!ticks) return false;
  const Duration tick = Duration{seconds(1)} / ::sysconf(_SC_CLK_TCK);
  return Time{} + static_cast<Duration::rep>(*ticks + 1) * tick <= limit;
}

// REQUIRES: `pid` is a child of this process that nobody else waits for.
bool reap_if_dead(pid_t pid) {
  siginfo_t info{};
  const int result = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
  return result == 0 ? info.si_pid == pid : errno == ECHILD;
}

// The kernel is asked, since /proc may not show it (is_dead).
bool is_child_of_self(pid_t pid) {
  siginfo_t ignored{};
  return ::waitid(P_PID, static_cast<id_t>(pid), &ignored, WEXITED | WNOHANG | WNOWAIT) == 0;
}

// Sends `signal` to a process that a walk of /proc found below us; returns false with errno set if that was
// refused. Its number may have been given to a stranger since, and a stranger is the child of none of
// `family` or us; once the pidfd is there the number does not matter any more.
bool signal_member(pid_t pid, const std::vector<pid_t>& family, int signal) {
  const Descriptor process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!process.is_open() && errno != EMFILE && errno != ENFILE && errno != ENOMEM) return true;  // gone
  if (!is_child_of_self(pid)) {
    const auto parent = stat_number(stat_fields(pid), kStatParent);
    if (!parent || std::find(family.begin(), family.end(), static_cast<pid_t>(*parent)) == family.end())
      return true;  // the next walk finds it again if it is ours
  }
  errno = 0;
  if (process.is_open()) return ::syscall(SYS_pidfd_send_signal, process.get(), signal, nullptr, 0) == 0;
  return ::kill(pid, signal) == 0;
}

}  // namespace

std::string missing_for_process_trees() {
  const std::string own = own_children();
  if (!Descriptor(::open(own.c_str(), O_RDONLY | O_CLOEXEC)).is_open()) {
    return own + ": " + std::strerror(errno) +
           "; the processes of a job are found through it, which takes a mounted /proc and a kernel with "
           "CONFIG_PROC_CHILDREN";
  }
  // NSpid lists our number in each PID namespace from that of /proc down to our own. It is a single number if
  // these two are the same.
  const std::string status = read_file("/proc/self/status", 64 * 1024);
  const std::size_t line = status.find("\nNSpid:");
  std::vector<pid_t> numbers;
  if (line != std::string::npos)
    append_pids(status.substr(line + 8, status.find('\n', line + 1) - line - 8), numbers);
  if (line == std::string::npos || numbers == std::vector<pid_t>{::getpid()}) return "";
  return "/proc shows another PID namespace, so the processes of a job cannot be found through it; mount a "
         "/proc of this one (unshare --mount-proc does)";
}

ProcessTree::ProcessTree() {
  children_of_main_ = Descriptor(::open(own_children().c_str(), O_RDONLY | O_CLOEXEC));
  if (!children_of_main_.is_open()) throw std::system_error(errno, std::generic_category(), own_children());
}

bool ProcessTree::has_adopted() const {
  char byte = 0;
  return ::pread(children_of_main_.get(), &byte, 1, 0) == 1;
}

std::vector<pid_t> ProcessTree::adopted() const {
  std::vector<pid_t> pids;
  append_pids(read_from_start(children_of_main_.get(), kEnvironmentBytesMax), pids);
  return pids;
}

bool ProcessTree::belongs(pid_t pid, const JobProcesses& job) {
  if (::getsid(pid) == job.leader) return true;
  Origin& origin = origins_[pid];
  if (!origin.read) {
    origin.attempt_key = variable_of(pid, kAttemptKeyName);
    origin.read = true;
  }
  return origin.attempt_key == job.attempt_key;
}

pid_t ProcessTree::add_adopted(const JobProcesses& job, std::vector<pid_t>& roots) {
  pid_t reaped = 0;
  for (const pid_t pid : adopted()) {
    if (reap_if_dead(pid)) {
      origins_.erase(pid);
      reaped = pid;
    } else if (belongs(pid, job)) {
      roots.push_back(pid);
    }
  }
  return reaped;
}

std::vector<pid_t> ProcessTree::members(const JobProcesses& job) {
  std::vector<pid_t> roots;
  if (job.leader_lives) roots.push_back(job.leader);
  if (has_adopted()) {
    const std::lock_guard lock(mutex_);
    pid_t reaped = add_adopted(job, roots);
    // One that died after the list had been read may have left children, which are in the next list only.
    for (int again = 0; again < kMembersAgain && reaped != 0 && roots.empty(); ++again) {
      reaped = add_adopted(job, roots);
    }
    if (reaped != 0 && roots.empty()) roots.push_back(reaped);
  }
  return with_descendants(std::move(roots));
}

void ProcessTree::reap() {
  const std::lock_guard lock(mutex_);
  for (const pid_t pid : adopted()) {
    if (reap_if_dead(pid)) origins_.erase(pid);
  }
}

void ProcessTree::kill_strays(const std::function<Time()>& oldest) {
  const std::lock_guard lock(mutex_);
  std::vector<pid_t> pids = adopted();
  const Time limit = oldest();
  std::erase_if(pids, [limit](pid_t pid) { return !started_before(pid, limit); });
  kill_now(with_descendants(std::move(pids)));
}

void terminate(const std::vector<pid_t>& pids) {
  for (const pid_t pid : pids) signal_member(pid, pids, SIGTERM);
  for (const pid_t pid : pids) signal_member(pid, pids, SIGCONT);  // a stopped process would not see the TERM
}

std::size_t kill_now(const std::vector<pid_t>& pids) {
  return static_cast<std::size_t>(std::count_if(pids.begin(), pids.end(), [&](pid_t pid) {
    return !signal_member(pid, pids, SIGKILL) && errno == EPERM;
  }));
}

std::vector<pid_t> children_of_self() {
  std::vector<pid_t> pids;
  append_children(::getpid(), pids);
  return pids;
}

bool kill_descendants_of_self(Duration limit, bool reap, const std::vector<pid_t>& but) {
  const Time until = boot_time() + limit;
  std::vector<pid_t> known_dead;
  while (true) {
    std::vector<pid_t> children = children_of_self();
    std::erase_if(children, [&](pid_t pid) { return std::find(but.begin(), but.end(), pid) != but.end(); });
    std::vector<pid_t> pids = with_descendants(children);
    const auto dead = std::partition(pids.begin(), pids.end(), [](pid_t pid) { return !is_dead(pid); });
    std::vector<pid_t> now_dead(dead, pids.end());
    pids.erase(dead, pids.end());
    std::sort(now_dead.begin(), now_dead.end());
    // One that died after the list of children had been read may have left some of its own to us.
    const bool complete =
        std::includes(known_dead.begin(), known_dead.end(), now_dead.begin(), now_dead.end());
    known_dead = std::move(now_dead);
    const std::size_t not_ours = kill_now(pids);
    if (reap) {
      for (const pid_t pid : children) reap_if_dead(pid);
    }
    if (complete && not_ours == pids.size()) return pids.empty();
    if (boot_time() >= until) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
}

}  // namespace workpool::worker
