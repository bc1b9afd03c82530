// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/results_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "common/base/text.h"
#include "dispatcher/io/results/line_output.h"
#include "dispatcher/io/results/state_file.h"

namespace workpool::dispatcher {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kRetry = std::chrono::milliseconds(200);
constexpr auto kLockPoll = std::chrono::milliseconds(20);
// A dispatcher that was just killed has its lock until the kernel is done with it.
constexpr auto kDyingMost = std::chrono::milliseconds(500);
constexpr auto kLocalWorkerMax = std::chrono::seconds(5);  // then the exit code is 75
constexpr off_t kDispatcherByte = 0;
constexpr off_t kLocalWorkerByte = 1;

std::string reason(int error) { return std::generic_category().message(error); }

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

// Says why `path` cannot be opened, and what to do.
std::string open_failure(const std::string& path, int error) {
  const std::string folder = folder_of(path);
  std::string text = "cannot write the results file " + printable(path) + ": ";
  struct stat status {};
  switch (error) {
    case EISDIR:
      return text + "it is a directory: name a file with -o";
    case ENOENT:
      if (path.empty()) return text + "its name is empty: name a file with -o";
      if (lstat(path.c_str(), &status) == 0) {
        return text +
               "it is a link into a folder that does not exist: create that, or name another file with -o";
      }
      if (stat(folder.c_str(), &status) == 0) return text + reason(error) + ": name another file with -o";
      return text + "the folder " + printable(folder) +
             " does not exist: create it, or name another file with -o";
    case ENOTDIR:
      return text + printable(folder) + " is not a folder: name another file with -o";
    case EACCES:
    case EPERM:
      text += reason(error) + " for user " + std::to_string(geteuid());
      if (stat(path.c_str(), &status) == 0 || stat(folder.c_str(), &status) == 0) {
        text += ", it belongs to user " + std::to_string(status.st_uid);
      }
      return text +
             ": change its owner or mode, or name another file with -o (docker compose: WORKPOOL_UID=$(id "
             "-u))";
    case EROFS:
      return text + reason(error) + ": name a file elsewhere with -o";
    default:
      return text + reason(error) + ": remove the cause, or name another file with -o";
  }
}

// Returns true if the byte is ours now, false if another open description holds it.
bool lock_byte(int fd, off_t byte, const std::string& path) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = byte;
  lock.l_len = 1;
  if (fcntl(fd, F_OFD_SETLK, &lock) == 0) return true;
  if (errno == EAGAIN || errno == EACCES) return false;
  throw StoreError{ExitCode::kResultsFailed, "cannot lock the results file " + printable(path) + ": " +
                                                 reason(errno) +
                                                 ": name a file on a local file system with -o"};
}

}  // namespace

struct ResultsStore::Impl {
  explicit Impl(const StoreOptions& given) : options(given) {}
  ~Impl();

  void open_standard_output();
  void open_special(bool fifo);
  void open_regular();
  void resolve();
  void refuse_if_planted() const;
  void lock();
  void open_state();
  void tell_wait(const std::string& what) const;
  void wait(const std::string& what, int error) const;
  template <typename Attempt>
  void until_space(const std::string& path, const Attempt& attempt) const;
  void end_tail(const ReplaySummary& summary);
  bool state_counts(const ReplaySummary& summary) const;
  void sync_folder() const;

  StoreOptions options;
  std::string shown;
  std::string resolved;  // of a regular file: no links in it
  bool regular = false;
  bool created = false;  // was not there before
  int fd = -1;
  bool owns_fd = true;
  int worker_fd = -1;  // the second open description
  std::optional<StateFile> state;
};

ResultsStore::Impl::~Impl() {
  if (worker_fd >= 0) close(worker_fd);
  if (fd >= 0 && owns_fd) close(fd);
}

void ResultsStore::Impl::open_standard_output() {
  shown = "standard output";
  const int flags = fcntl(STDOUT_FILENO, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_RDONLY) {
    throw StoreError{ExitCode::kResultsFailed,
                     "cannot write the results: standard output is closed: name a file with -o"};
  }
  fd = STDOUT_FILENO;
  owns_fd = false;
}

// A pipe, a terminal, a device. O_NONBLOCK stays on, since the open file is ours alone. With it, open fails
// on a pipe without a reader; without it, open would wait and could not be interrupted.
void ResultsStore::Impl::open_special(bool fifo) {
  for (;;) {
    fd = open(options.path.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0) return;
    if (errno != ENXIO || !fifo)
      throw StoreError{ExitCode::kResultsFailed, open_failure(options.path, errno)};
    wait("waiting for a reader of the pipe " + printable(options.path), ENXIO);
  }
}

void ResultsStore::Impl::open_regular() {
  until_space(options.path, [this] {
    // With O_CREAT Linux refuses to open another user's file in a folder like /tmp, even for root
    // (fs.protected_regular).
    constexpr int kFlags = O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY;
    fd = open(options.path.c_str(), kFlags);
    if (fd < 0 && errno == ENOENT) fd = open(options.path.c_str(), kFlags | O_CREAT, 0666);
    return fd < 0 ? errno : 0;
  });
  regular = true;
  resolve();
  refuse_if_planted();
  lock();
  open_state();
}

// Follows links, so that two names of one file share lock and state.
void ResultsStore::Impl::resolve() {
  char* const real = realpath(options.path.c_str(), nullptr);
  if (real == nullptr) throw StoreError{ExitCode::kResultsFailed, open_failure(options.path, errno)};
  resolved = real;
  std::free(real);
}

// In a folder like /tmp somebody else may have made the file before us: he could read what is recorded, and
// write results. Root may resume anybody's run there.
void ResultsStore::Impl::refuse_if_planted() const {
  struct stat file {};
  struct stat folder {};
  if (::geteuid() == 0 || fstat(fd, &file) != 0 || file.st_uid == ::geteuid()) return;
  if (stat(resolved.substr(0, resolved.rfind('/') + 1).c_str(), &folder) != 0) return;
  constexpr mode_t kEverybodys = S_ISVTX | S_IWOTH;
  if ((folder.st_mode & kEverybodys) != kEverybodys || file.st_uid == folder.st_uid) return;
  throw StoreError{ExitCode::kResultsFailed,
                   "the results file " + printable(options.path) +
                       " belongs to another user, in a folder where everybody can put files: name another "
                       "file with -o"};
}

void ResultsStore::Impl::lock() {
  const Clock::time_point begin = Clock::now();
  while (!lock_byte(fd, kDispatcherByte, options.path)) {
    if (Clock::now() - begin < kDyingMost) {
      std::this_thread::sleep_for(kLockPoll);
      continue;
    }
    throw StoreError{
        ExitCode::kResultsInUse,
        "the results file " + printable(options.path) +
            " is in use by another workpool-dispatcher: wait for it, or name another file with -o"};
  }
  worker_fd = open(resolved.c_str(), O_RDWR | O_APPEND | O_CLOEXEC | O_NOCTTY);
  struct stat first {};
  struct stat second {};
  if (worker_fd < 0 || fstat(fd, &first) != 0 || fstat(worker_fd, &second) != 0) {
    throw StoreError{ExitCode::kResultsFailed, open_failure(options.path, errno)};
  }
  if (first.st_dev != second.st_dev || first.st_ino != second.st_ino) {
    throw StoreError{ExitCode::kResultsFailed, "the results file " + printable(options.path) +
                                                   " was replaced while it was opened: try again"};
  }
  const Clock::time_point start = Clock::now();
  Clock::time_point told = start;
  while (!lock_byte(worker_fd, kLocalWorkerByte, options.path)) {
    const Clock::time_point now = Clock::now();
    if (now - start >= kLocalWorkerMax) {
      throw StoreError{ExitCode::kResultsInUse,
                       "the local worker of the run before still uses the results file " +
                           printable(options.path) + ": end it (workpool-worker), then try again"};
    }
    if (now - told >= kRetry && options.waiting) {
      told = now;
      tell_wait("waiting for the local worker of the run before to end");
    }
    std::this_thread::sleep_for(kLockPoll);
  }
}

void ResultsStore::Impl::open_state() {
  const std::string path = resolved + ".state";
  try {
    state.emplace(path);
  } catch (const std::system_error& error) {
    throw StoreError{ExitCode::kResultsFailed, "cannot use " + printable(path) + ": " +
                                                   error.code().message() +
                                                   ": remove it, or name another results file with -o"};
  }
}

void ResultsStore::Impl::tell_wait(const std::string& what) const {
  if (const auto given_up = options.waiting(what)) throw StoreError{*given_up, ""};
}

// One step of a wait that the caller may end.
void ResultsStore::Impl::wait(const std::string& what, int error) const {
  if (!options.waiting) throw StoreError{ExitCode::kResultsFailed, what + ": " + reason(error)};
  tell_wait(what);
  std::this_thread::sleep_for(kRetry);
}

// `attempt` returns errno or 0; repeated while there is no space.
template <typename Attempt>
void ResultsStore::Impl::until_space(const std::string& path, const Attempt& attempt) const {
  for (;;) {
    const int error = attempt();
    if (error == 0) return;
    if (!is_no_space(error)) throw StoreError{ExitCode::kResultsFailed, open_failure(path, error)};
    wait("waiting for space for " + printable(path), error);
  }
}

// Cuts or ends the last line, so that a new one can begin.
void ResultsStore::Impl::end_tail(const ReplaySummary& summary) {
  if (summary.torn_bytes > 0) {
    until_space(options.path,
                [&] { return ftruncate(fd, static_cast<off_t>(summary.whole_bytes)) == 0 ? 0 : errno; });
  } else if (summary.newline_missing) {
    until_space(options.path, [&] { return write(fd, "\n", 1) == 1 ? 0 : errno; });
  }
}

// Whether the state belongs to the run that RESULTS belongs to.
bool ResultsStore::Impl::state_counts(const ReplaySummary& summary) const {
  if (created || !state->run()) return false;
  if (summary.run != 0) return state->run()->value == summary.run;
  return !summary.empty() || state->names(options.jobs_path);
}

void ResultsStore::Impl::sync_folder() const {
  const int folder = open(folder_of(resolved).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;  // not readable: then the entry is as safe as the file system makes it
  const int error = fsync(folder) == 0 ? 0 : errno;
  close(folder);
  // EINVAL: the file system cannot do this.
  if (error != 0 && error != EINVAL)
    throw StoreError{ExitCode::kResultsFailed, open_failure(options.path, error)};
}

// ---------------------------------------------------------------------------------------------------

ResultsStore::ResultsStore(const StoreOptions& options) : impl_(std::make_unique<Impl>(options)) {
  if (options.path == "-") {
    impl_->open_standard_output();
    return;
  }
  impl_->shown = options.path;
  struct stat status {};
  impl_->created = stat(options.path.c_str(), &status) != 0;
  // Any other error of stat is one of open, too.
  if (impl_->created || S_ISREG(status.st_mode)) {
    impl_->open_regular();
  } else if (S_ISDIR(status.st_mode)) {
    throw StoreError{ExitCode::kResultsFailed, open_failure(options.path, EISDIR)};
  } else {
    impl_->open_special(S_ISFIFO(status.st_mode));
  }
}

ResultsStore::~ResultsStore() = default;

int ResultsStore::fd() const { return impl_->fd; }
bool ResultsStore::regular() const { return impl_->regular; }
const std::string& ResultsStore::shown_path() const { return impl_->shown; }

const std::string& ResultsStore::path() const { return impl_->resolved; }

int ResultsStore::lock_for_local_worker() {
  if (!impl_->regular) return -1;
  const int fd = fcntl(impl_->worker_fd, F_DUPFD, 3);
  if (fd < 0) throw StoreError{ExitCode::kResultsFailed, open_failure(impl_->options.path, errno)};
  return fd;
}

void ResultsStore::refuse_if_foreign(const ReplaySummary& summary) const {
  if (!impl_->regular || impl_->options.overwrite || summary.empty() || summary.matched) return;
  const std::string& jobs_path = impl_->options.jobs_path;
  const bool known = impl_->state_counts(summary);
  if (known && impl_->state->names(jobs_path)) return;
  if (jobs_path == "-" && !known && summary.lines > 0) return;
  throw StoreError{ExitCode::kForeignResults,
                   "the results file " + printable(impl_->shown) + " belongs to another jobs file" +
                       (known ? ", " + impl_->state->jobs_shown() : std::string()) +
                       (jobs_path == "-" ? ", and the ids of a pipe are not known before it is read"
                                         : ", and none of its ids is in this one") +
                       ": name another file with -o, or start it again with --overwrite"};
}

RunId ResultsStore::open_run(const ReplaySummary& summary, RunId fresh_run) {
  if (!impl_->regular) return fresh_run;
  StateFile& state = *impl_->state;
  const std::string& jobs_path = impl_->options.jobs_path;
  RunId run = fresh_run;
  if (impl_->options.overwrite) {
    // The state comes first. If RESULTS were emptied first, a crash here would leave it with the old state,
    // and the old run would come back to life.
    impl_->until_space(state.path(), [&] { return state.begin(run, jobs_path); });
    if (ftruncate(impl_->fd, 0) != 0)
      throw StoreError{ExitCode::kResultsFailed, open_failure(impl_->options.path, errno)};
  } else {
    impl_->end_tail(summary);
    if (impl_->state_counts(summary)) {
      run = *state.run();
      impl_->until_space(state.path(), [&] { return state.keep(run, jobs_path); });
    } else {
      if (summary.run != 0) run = RunId{summary.run};
      impl_->until_space(state.path(), [&] { return state.begin(run, jobs_path); });
    }
  }
  impl_->sync_folder();
  return run;
}

std::vector<GrantedName> ResultsStore::worker_names() const {
  return impl_->regular ? impl_->state->worker_names() : std::vector<GrantedName>{};
}

int ResultsStore::state_fd() const { return impl_->regular ? impl_->state->fd() : -1; }

}  // namespace workpool::dispatcher
