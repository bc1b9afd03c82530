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

#include "common/base/exit_code.h"
#include "common/base/units.h"
#include "common/io/clock.h"
#include "dispatcher/core/local_name.h"

extern char** environ;

namespace workpool::dispatcher {
namespace {

constexpr const char* kProgram = "workpool-worker";
constexpr Duration kPauseMost = seconds(5);
constexpr int kFailedStartsMost = 8;  // in a row
constexpr Duration kLivedWell = seconds(10);
constexpr int kShortLivesMost = 8;
// A worker that does not get through says so itself after 20 s; this limit is for one that says nothing.
constexpr Duration kRegisterLimit = seconds(60);
constexpr Duration kKilledLimit = seconds(5);
// The exit status of a program that the shell, or the loader of shared libraries, could not run.
constexpr int kCannotExecute = 126;
constexpr int kCannotLoad = 127;
constexpr std::size_t kLineBytesMost = 64 * 1024;  // of a line that never ends
// Where the child finds its end of the pipe and the lock, above the standard ones.
constexpr int kChildPipe = 3;
constexpr int kChildLock = 4;
// Our descriptors are moved up here first, so that none has a number that the child needs.
constexpr int kOutOfTheWay = 10;

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// Whether another start would end the same way: a wrong flag, a system that lacks what the worker needs, a
// refusal.
bool is_final(int status) {
  constexpr std::array kFinal = {ExitCode::kUsage, ExitCode::kSystem, ExitCode::kWrongProtocol,
                                 ExitCode::kRefused, ExitCode::kUnsafe};
  return status == kCannotExecute || status == kCannotLoad ||
         std::find(kFinal.begin(), kFinal.end(), static_cast<ExitCode>(status)) != kFinal.end();
}

// The same open file under a number that the child does not need. Throws std::system_error.
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

OwnLimits::OwnLimits(std::uint64_t callers_core_bytes) {
  ::getrlimit(RLIMIT_NOFILE, &original_);
  raised_ = original_;
  raised_.rlim_cur = raised_.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &raised_) != 0) raised_ = original_;
  ::getrlimit(RLIMIT_CORE, &no_core_);
  core_ = {callers_core_bytes, no_core_.rlim_max};
}

void OwnLimits::give_back() const {
  ::setrlimit(RLIMIT_NOFILE, &original_);
  ::setrlimit(RLIMIT_CORE, &core_);
}

void OwnLimits::take_again() const {
  ::setrlimit(RLIMIT_NOFILE, &raised_);
  ::setrlimit(RLIMIT_CORE, &no_core_);
}

void require_local_worker() {
  const std::string program = beside_ourselves(kProgram);
  if (::access(program.c_str(), X_OK) == 0) return;
  throw std::system_error(errno, std::generic_category(), "cannot start the local worker, " + program);
}

LocalWorker::LocalWorker(const LocalWorkerOptions& options, const OwnLimits& limits,
                         std::function<int()> lock)
    : options_(options), limits_(limits), lock_(std::move(lock)), program_(beside_ourselves(kProgram)) {
  start();
}

LocalWorker::~LocalWorker() { shut_down(milliseconds(1500)); }

std::vector<std::string> LocalWorker::command_line(bool has_lock) const {
  std::vector<std::string> line = {program_,         options_.address,
                                   "--name",         kLocalName,
                                   "--slots",        std::to_string(options_.slots),
                                   "--local-parent", std::to_string(kChildPipe),
                                   "--log-level",    options_.log_level};
  if (has_lock) line.insert(line.end(), {"--lock", std::to_string(kChildLock)});
  if (options_.allow_new_privs) line.emplace_back("--allow-new-privs");
  for (const HandlerProgram& handler : options_.handlers)
    line.insert(line.end(), {"--handler", handler.name + "=" + handler.command});
  if (options_.handler_jobs > 0)
    line.insert(line.end(), {"--handler-jobs", std::to_string(options_.handler_jobs)});
  return line;
}

void LocalWorker::start() {
  start_at_.reset();
  started_ = boot_time();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("cannot start the local worker");
  Descriptor ours(ends[1]);
  const Descriptor theirs = out_of_the_way(Descriptor(ends[0]));
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("cannot start the local worker");
  Descriptor our_end_of_stderr(ends[0]);
  const Descriptor its_stderr = out_of_the_way(Descriptor(ends[1]));
  ::fcntl(our_end_of_stderr.get(), F_SETFL, O_NONBLOCK);
  Descriptor lock(lock_());
  if (lock.is_open()) lock = out_of_the_way(lock);

  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&files, its_stderr.get(), 2);
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

  std::vector<std::string> line = command_line(lock.is_open());
  std::vector<char*> arguments;
  arguments.reserve(line.size() + 1);
  for (std::string& word : line) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::vector<char*> variables = environment();
  limits_.give_back();
  const int error =
      ::posix_spawn(&pid_, program_.c_str(), &files, &attributes, arguments.data(), variables.data());
  limits_.take_again();
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    pid_ = -1;
    throw std::system_error(error, std::generic_category(), "cannot start " + program_);
  }
  pipe_ = std::move(ours);
  stderr_ = std::move(our_end_of_stderr);
  pidfd_ = Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0)));
}

void LocalWorker::closed() {
  pidfd_.close();
  pipe_.close();
  stderr_.close();
  pid_ = -1;
}

// Takes the whole lines of the worker's stderr, without the program's name or the time in front of them.
void LocalWorker::take_lines(std::vector<std::string>& lines) {
  char buffer[4096];
  for (ssize_t size = 0; (size = ::read(stderr_.get(), buffer, sizeof buffer)) > 0;)
    line_.append(buffer, static_cast<std::size_t>(size));
  const std::string own_name = std::string(kProgram) + ": ";
  std::size_t start = 0;
  for (std::size_t end = 0; (end = line_.find('\n', start)) != std::string::npos; start = end + 1) {
    std::string line = line_.substr(start, end - start);
    if (line.starts_with(own_name)) line.erase(0, own_name.size());
    if (line.starts_with("20") && line.find(' ') != std::string::npos) line.erase(0, line.find(' ') + 1);
    last_line_ = line;
    lines.push_back("local worker: " + line);
  }
  line_.erase(0, start);
  if (line_.size() > kLineBytesMost) line_.clear();
}

std::string LocalWorker::last_words() const {
  return last_line_.empty() ? std::string() : "; the last that it said: " + last_line_;
}

LocalWorker::News LocalWorker::ended(Time now, int status, const Progress& progress, News news) {
  const bool brought_a_result = progress.records > records_at_start_;
  const bool lived_well = now - started_ >= kLivedWell || brought_a_result;
  has_worked_ |= brought_a_result;
  short_lives_ = lived_well ? 0 : short_lives_ + 1;
  std::string how = WIFSIGNALED(status) ? "was killed by signal " + std::to_string(WTERMSIG(status))
                                        : "exited with status " + std::to_string(WEXITSTATUS(status));
  if (short_lives_ >= kShortLivesMost)
    how += ", for the " + std::to_string(short_lives_) + "th time in a row,";
  // What the system refuses to a worker that has worked, it may refuse for a moment only.
  const bool may_pass =
      has_worked_ && WIFEXITED(status) && WEXITSTATUS(status) == exit_status(ExitCode::kSystem);
  if ((WIFEXITED(status) && is_final(WEXITSTATUS(status)) && !may_pass) || short_lives_ >= kShortLivesMost) {
    news.problem = "the local worker " + how + " and cannot work here" + last_words();
    return news;
  }
  news.lines.push_back("the local worker " + how + "; starting it again");
  pause_ = lived_well ? Duration(milliseconds(100)) : std::min(pause_ * 2, kPauseMost);
  start_at_ = now + pause_;
  return news;
}

LocalWorker::News LocalWorker::tend(Time now, const Progress& progress) {
  News news;
  if (!register_by_) register_by_ = now + kRegisterLimit;
  if (pid_ > 0) {
    int status = 0;
    const bool has_ended = ::waitpid(pid_, &status, WNOHANG) == pid_;
    take_lines(news.lines);
    if (has_ended) {
      closed();
      return progress.over ? news : ended(now, status, progress, std::move(news));
    }
    if (progress.registered || progress.over || now < *register_by_) return news;
    news.problem = "the local worker has not registered within " + format_duration(kRegisterLimit) +
                   " and cannot work here" + last_words();
    register_by_ = kNever;
    return news;
  }
  if (progress.over || !start_at_ || now < *start_at_) return news;
  try {
    start();
    failed_starts_ = 0;
    records_at_start_ = progress.records;
  } catch (const std::exception& error) {
    pause_ = std::min(pause_ * 2, kPauseMost);
    start_at_ = now + pause_;
    if (++failed_starts_ < kFailedStartsMost) {
      news.lines.emplace_back(error.what());
    } else {
      news.problem = error.what();
      start_at_.reset();
    }
  }
  return news;
}

void LocalWorker::shut_down(Duration patience) {
  if (pid_ <= 0) return;
  pipe_.close();
  if (!ends_within(patience)) {
    ::kill(pid_, SIGKILL);
    ends_within(kKilledLimit);
  }
  closed();
}

bool LocalWorker::ends_within(Duration patience) const {
  const Time end = boot_time() + patience;
  while (::waitpid(pid_, nullptr, WNOHANG) != pid_) {
    const Duration left = end - boot_time();
    if (left.count() <= 0) return false;
    // Without a pidfd, which the system may refuse, we look again soon.
    pollfd wait{pidfd_.get(), POLLIN, 0};
    const Duration slice = pidfd_.is_open() ? left : std::min<Duration>(left, milliseconds(10));
    ::poll(&wait, pidfd_.is_open() ? 1 : 0, static_cast<int>(slice / milliseconds(1)) + 1);
  }
  return true;
}

}  // namespace workpool::dispatcher
