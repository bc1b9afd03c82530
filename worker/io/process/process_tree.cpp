// SPDX-License-Identifier: MIT
#include "worker/io/process/process_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
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

namespace workpool::worker {
namespace {

// Enough for the environment of any process: Linux' limit on argv and envp together is a quarter of the stack
// limit, 2 MiB by default. What lies beyond is not searched.
constexpr std::size_t kEnvironmentBytesMax = 8 << 20;

std::string path_of(pid_t pid, const char* file) { return "/proc/" + std::to_string(pid) + '/' + file; }

// Of the main thread, to which the kernel gives every adopted process.
std::string own_children() { return path_of(::getpid(), "task/") + std::to_string(::getpid()) + "/children"; }

// The whole of a file of /proc from its start; empty where it cannot be read.
std::string read_from_start(int fd, std::size_t limit) {
  std::string text;
  std::size_t size = 0;
  while (size < limit) {
    text.resize(size + 4096);
    const ssize_t part = ::pread(fd, text.data() + size, 4096, static_cast<off_t>(size));
    if (part <= 0) break;
    size += static_cast<std::size_t>(part);
  }
  text.resize(size);
  return text;
}

std::string read_file(const std::string& path, std::size_t limit) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  return file.is_open() ? read_from_start(file.get(), limit) : "";
}

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

// `roots` and everything below them; the list grows while it is walked.
std::vector<pid_t> with_descendants(std::vector<pid_t> pids) {
  for (std::size_t i = 0; i < pids.size(); ++i) append_children(pids[i], pids);
  return pids;
}

// The fields of /proc/PID/stat from the third, the state, on; empty where it is gone. They follow the name,
// which may hold anything, so the last ')'.
std::string stat_fields(pid_t pid) {
  const std::string stat = read_file(path_of(pid, "stat"), 4096);
  const std::size_t name_end = stat.rfind(')');
  if (name_end == std::string::npos || name_end + 2 >= stat.size()) return "";
  return stat.substr(name_end + 2);
}

// Gone, or a zombie that waits for its parent.
bool is_dead(pid_t pid) {
  const std::string fields = stat_fields(pid);
  return fields.empty() || fields[0] == 'Z' || fields[0] == 'X';
}

// Whether it was certainly started before `limit`: proc(5) tells the start in clock ticks since boot, rounded
// down.
bool started_before(pid_t pid, Time limit) {
  constexpr int kStartTime = 22;  // the field's number; the state is 3
  const std::string fields = stat_fields(pid);
  std::size_t at = 0;
  for (int field = 3; field < kStartTime; ++field) {
    at = fields.find(' ', at);
    if (at == std::string::npos) return false;
    ++at;
  }
  std::uint64_t ticks = 0;
  if (std::from_chars(fields.data() + at, fields.data() + fields.size(), ticks).ec != std::errc())
    return false;
  const Duration tick = Duration{seconds(1)} / ::sysconf(_SC_CLK_TCK);
  return Time{} + static_cast<Duration::rep>(ticks + 1) * tick <= limit;
}

// REQUIRES: `pid` is a child of this process that nobody else waits for.
bool reap_if_dead(pid_t pid) {
  siginfo_t info{};
  const int result = ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG);
  return result == 0 ? info.si_pid == pid : errno == ECHILD;
}

std::string attempt_key_in_environment(pid_t pid) {
  const std::string environment = read_file(path_of(pid, "environ"), kEnvironmentBytesMax);
  const std::string prefix = std::string(kAttemptKeyName) + '=';
  for (std::size_t at = 0; at < environment.size(); at = environment.find('\0', at) + 1) {
    if (environment.compare(at, prefix.size(), prefix) == 0) return environment.c_str() + at + prefix.size();
    if (environment.find('\0', at) == std::string::npos) break;
  }
  return "";
}

}  // namespace

std::string missing_for_process_trees() {
  const std::string own = own_children();
  if (Descriptor(::open(own.c_str(), O_RDONLY | O_CLOEXEC)).is_open()) return "";
  return own + ": " + std::strerror(errno) +
         "; the processes of a job are found through it, which takes a mounted /proc and a kernel with "
         "CONFIG_PROC_CHILDREN";
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
    origin.attempt_key = attempt_key_in_environment(pid);
    origin.read = true;
  }
  return origin.attempt_key == job.attempt_key;
}

std::vector<pid_t> ProcessTree::members(const JobProcesses& job) {
  std::vector<pid_t> roots;
  if (job.leader_lives) roots.push_back(job.leader);
  if (has_adopted()) {
    const std::lock_guard lock(mutex_);
    for (const pid_t pid : adopted()) {
      if (reap_if_dead(pid)) {
        origins_.erase(pid);
      } else if (belongs(pid, job)) {
        roots.push_back(pid);
      }
    }
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
  for (const pid_t pid : pids) ::kill(pid, SIGTERM);
  for (const pid_t pid : pids) ::kill(pid, SIGCONT);  // a stopped process sees TERM only once it goes on
}

std::size_t kill_now(const std::vector<pid_t>& pids) {
  return static_cast<std::size_t>(std::count_if(
      pids.begin(), pids.end(), [](pid_t pid) { return ::kill(pid, SIGKILL) != 0 && errno == EPERM; }));
}

std::vector<pid_t> descendants_of_self() {
  std::vector<pid_t> pids;
  append_children(::getpid(), pids);
  pids = with_descendants(std::move(pids));
  std::erase_if(pids, is_dead);
  return pids;
}

bool kill_descendants_of_self(Duration limit, bool reap) {
  const Time until = boot_time() + limit;
  while (true) {
    const std::vector<pid_t> pids = descendants_of_self();
    const std::size_t not_ours = kill_now(pids);
    if (reap) {
      std::vector<pid_t> children;
      append_children(::getpid(), children);
      for (const pid_t pid : children) reap_if_dead(pid);
    }
    if (pids.empty()) return true;
    if (not_ours == pids.size() || boot_time() >= until) return false;
    std::this_thread::sleep_for(milliseconds(1));
  }
}

}  // namespace workpool::worker
