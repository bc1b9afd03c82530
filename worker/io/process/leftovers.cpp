// SPDX-License-Identifier: MIT
#include "worker/io/process/leftovers.h"

#include <dirent.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <set>
#include <thread>
#include <vector>

#include "common/io/clock.h"
#include "common/io/descriptor.h"
#include "worker/io/process/child_environment.h"
#include "worker/io/process/proc_files.h"

namespace workpool::worker {
namespace {

// The inode of our PID namespace. A process number means something in one namespace only: a container's
// processes have other numbers when seen from outside.
std::string pid_namespace(pid_t pid) {
  char text[64];
  const ssize_t size = ::readlink(path_of(pid, "ns/pid").c_str(), text, sizeof text);
  const std::string link(text, size > 0 ? static_cast<std::size_t>(size) : 0);  // pid:[4026531836]
  const std::size_t begin = link.find('[') + 1;
  return begin == 0 ? "" : link.substr(begin, link.find(']') - begin);
}

// NAMESPACE.PID.START, with the start time because process numbers are used again.
std::string owner_text(const std::string& name_space, pid_t pid, std::uint64_t start) {
  return name_space + '.' + std::to_string(pid) + '.' + std::to_string(start);
}

// Whether `owner` is of our PID namespace and names a process that is dead.
bool is_of_a_dead_owner(const std::string& owner, const std::string& our_namespace) {
  const std::string prefix = our_namespace + '.';
  if (our_namespace.empty() || !owner.starts_with(prefix)) return false;
  pid_t pid = 0;
  const char* const end = owner.data() + owner.size();
  if (std::from_chars(owner.data() + prefix.size(), end, pid).ec != std::errc() || pid <= 0) return false;
  if (is_dead(pid)) return true;
  const auto start = stat_number(stat_fields(pid), kStatStartTime);
  return start && owner != owner_text(our_namespace, pid, *start);
}

// An attempt key is RANDOM.OWNER (child_environment.h); "" if the process has none.
std::string owner_of(pid_t pid) {
  const std::string key = variable_of(pid, kAttemptKeyName);
  const std::size_t dot = key.find('.');
  return dot == std::string::npos ? "" : key.substr(dot + 1);
}

struct Process {
  pid_t pid = 0;
  Descriptor handle;  // made before it was judged, so the judgement is of this process or it is dead
  bool left = false;
};

std::vector<Process> all_processes() {
  std::vector<Process> found;
  DIR* const folder = ::opendir("/proc");
  if (folder == nullptr) return found;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ec == std::errc() && pid > 1)
      found.push_back({pid, {}, false});
  }
  ::closedir(folder);
  return found;
}

// Those that carry the mark of a dead worker, and those of the same sessions: a session begins with the job
// or inside it. Some may have died since.
std::vector<Process> leftovers() {
  const std::string our_namespace = pid_namespace(::getpid());
  std::vector<Process> all = all_processes();
  std::set<pid_t> sessions;
  for (Process& process : all) {
    if (process.pid == ::getpid() || !is_of_a_dead_owner(owner_of(process.pid), our_namespace)) continue;
    // Few come this far, so only they get a handle, and are read again.
    Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
    if (!is_of_a_dead_owner(owner_of(process.pid), our_namespace)) continue;
    process.handle = std::move(handle);
    process.left = true;
    sessions.insert(::getsid(process.pid));
  }
  sessions.erase(::getsid(0));
  for (Process& process : all) {
    if (process.left || sessions.empty() || process.pid == ::getpid()) continue;
    Descriptor handle(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
    if (!sessions.contains(::getsid(process.pid))) continue;
    process.handle = std::move(handle);
    process.left = true;
  }
  std::erase_if(all, [](const Process& process) { return !process.left; });
  return all;
}

}  // namespace

void mark_jobs_as_ours() {
  const auto start = stat_number(stat_fields(::getpid()), kStatStartTime);
  const std::string owner = owner_text(pid_namespace(::getpid()), ::getpid(), start.value_or(0));
  ::setenv(std::string(kOwnerName).c_str(), owner.c_str(), 1);
}

std::size_t kill_leftovers(Duration limit) {
  std::set<pid_t> killed;
  std::set<pid_t> known_dead;
  for (const Time until = boot_time() + limit;;) {
    bool changed = false;
    for (const Process& process : leftovers()) {
      if (is_dead(process.pid)) {
        // What it started before it died may not have been in the list.
        if (known_dead.insert(process.pid).second) changed = true;
      } else if (::syscall(SYS_pidfd_send_signal, process.handle.get(), SIGKILL, nullptr, 0) == 0) {
        killed.insert(process.pid);
        changed = true;
      }
    }
    if (!changed || boot_time() >= until) return killed.size();
    std::this_thread::sleep_for(milliseconds(1));
  }
}

}  // namespace workpool::worker
