// SPDX-License-Identifier: MIT
#include "dispatcher/io/local_worker.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "common/io/clock.h"

extern char** environ;

namespace workpool::dispatcher {
namespace {

constexpr Duration kPauseMost = seconds(5);
constexpr Duration kLivedWell = seconds(10);
// Where the child finds its end of the pipe and the lock, above the standard ones.
constexpr int kChildPipe = 3;
constexpr int kChildLock = 4;
// Descriptors are moved up here first, so that none of them is where a child's is to be.
constexpr int kOutOfTheWay = 10;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// What a worker says that would be the same the next time: a wrong flag, a system that lacks what it needs, a
// refusal.
bool is_final(int exit_status) {
  constexpr std::array kFinal = {2, 71, 76, 77, 78};
  return std::find(kFinal.begin(), kFinal.end(), exit_status) != kFinal.end();
}

// The same open file by a number that no child's has.
Descriptor out_of_the_way(const Descriptor& file) {
  Descriptor moved(::fcntl(file.get(), F_DUPFD_CLOEXEC, kOutOfTheWay));
  if (!moved.is_open()) fail("cannot start the local worker");
  return moved;
}

std::string beside_ourselves(const std::string& name) {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof path - 1);
  if (size <= 0) return name;
  const std::string self(path, static_cast<std::size_t>(size));
  return self.substr(0, self.rfind('/') + 1) + name;
}

// A worker started by us must not listen to variables meant for workers elsewhere: everything it needs is on
// its command line. Its jobs lose WORKPOOL_* anyway.
std::vector<char*> environment() {
  std::vector<char*> kept;
  for (char** at = environ; *at != nullptr; ++at) {
    if (std::string_view(*at).substr(0, 9) != "WORKPOOL_") kept.push_back(*at);
  }
  kept.push_back(nullptr);
  return kept;
}

}  // namespace

DescriptorLimit::DescriptorLimit() {
  ::getrlimit(RLIMIT_NOFILE, &original_);
  raised_ = original_;
  raised_.rlim_cur = raised_.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &raised_) != 0) raised_ = original_;
}

void DescriptorLimit::give_back() const { ::setrlimit(RLIMIT_NOFILE, &original_); }
void DescriptorLimit::raise_again() const { ::setrlimit(RLIMIT_NOFILE, &raised_); }

LocalWorker::LocalWorker(const LocalWorkerOptions& options, const DescriptorLimit& limit,
                         std::function<int()> lock)
    : options_(options),
      limit_(limit),
      lock_(std::move(lock)),
      program_(beside_ourselves("workpool-worker")) {
  start();
}

LocalWorker::~LocalWorker() { shut_down(milliseconds(1500)); }

void LocalWorker::start() {
  start_at_.reset();
  started_ = boot_time();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("cannot start the local worker");
  Descriptor ours(ends[1]);
  const Descriptor theirs = out_of_the_way(Descriptor(ends[0]));
  Descriptor lock(lock_());
  if (lock.is_open()) lock = out_of_the_way(lock);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&files, theirs.get(), kChildPipe);
  if (lock.is_open()) posix_spawn_file_actions_adddup2(&files, lock.get(), kChildLock);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  const std::string slots = std::to_string(options_.slots);
  const std::string pipe_number = std::to_string(kChildPipe);
  const std::string lock_number = std::to_string(kChildLock);
  std::vector<std::string> words = {program_,         options_.address, "--slots",     slots,
                                    "--local-parent", pipe_number,      "--log-level", "warn"};
  if (lock.is_open()) words.insert(words.end(), {"--lock", lock_number});
  if (options_.insecure) words.emplace_back("--insecure");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<char*> variables = environment();
  limit_.give_back();
  const int error =
      ::posix_spawn(&pid_, program_.c_str(), &files, &attributes, arguments.data(), variables.data());
  limit_.raise_again();
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    pid_ = -1;
    throw std::system_error(error, std::generic_category(), "cannot start " + program_);
  }
  pipe_ = std::move(ours);
  pidfd_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

void LocalWorker::closed() {
  pidfd_.close();
  pipe_.close();
  pid_ = -1;
}

LocalWorker::News LocalWorker::tend(Time now, bool over) {
  if (pid_ > 0) {
    int status = 0;
    if (::waitpid(pid_, &status, WNOHANG) != pid_) return {};
    closed();
    if (over) return {};
    const std::string how = WIFSIGNALED(status) ? "was killed by signal " + std::to_string(WTERMSIG(status))
                                                : "exited with status " + std::to_string(WEXITSTATUS(status));
    if (WIFEXITED(status) && is_final(WEXITSTATUS(status)))
      return {"the local worker " + how + " and cannot work here (it has said why)", true};
    pause_ = now - started_ >= kLivedWell ? Duration(milliseconds(100)) : std::min(pause_ * 2, kPauseMost);
    start_at_ = now + pause_;
    return {"the local worker " + how + "; starting it again"};
  }
  if (over || !start_at_ || now < *start_at_) return {};
  try {
    start();
    return {};
  } catch (const std::exception& error) {
    pause_ = std::min(pause_ * 2, kPauseMost);
    start_at_ = now + pause_;
    return {error.what()};
  }
}

void LocalWorker::shut_down(Duration patience) {
  if (pid_ <= 0) return;
  pipe_.close();
  const Time end = boot_time() + patience;
  while (boot_time() < end) {
    pollfd wait{pidfd_.get(), POLLIN, 0};
    const Duration left = end - boot_time();
    if (pidfd_.is_open())
      ::poll(&wait, 1, static_cast<int>(std::max<Duration>(left, Duration{0}) / milliseconds(1)) + 1);
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      closed();
      return;
    }
  }
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  closed();
}

}  // namespace workpool::dispatcher
