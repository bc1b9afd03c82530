// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>
#include <utility>

#include "common/base/check.h"
#include "common/base/text.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kCopyBytes = 256 * 1024;

std::string reason(int error) { return std::generic_category().message(error); }

}  // namespace

FileMark FileMark::of(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return {};
  return {status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec};
}

std::variant<JobsInput, JobsProblem> JobsInput::open(const std::string& path) {
  if (path == "-") return open_stdin();
  const std::string shown = printable(path);
  // O_NONBLOCK: a FIFO without a writer would hold up the program here, where Ctrl-C is not handled yet.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0 && errno == ENOENT)
    return JobsProblem{shown + ": no such file; give the path of a jobs file, or - for stdin"};
  if (fd < 0) return JobsProblem{shown + ": cannot be opened: " + reason(errno)};
  JobsInput input(fd, true, false, shown);
  struct stat status {};
  if (fstat(fd, &status) != 0) return JobsProblem{shown + ": cannot be examined: " + reason(errno)};
  if (S_ISDIR(status.st_mode)) return JobsProblem{shown + ": is a directory; give the path of a jobs file"};
  input.regular_ = S_ISREG(status.st_mode);
  input.opened_ = FileMark::of(fd);
  // A worker here looks for it before a job's output replaces a file. Not every file system has locks.
  struct flock lock {};
  lock.l_type = F_RDLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  if (input.regular_) fcntl(fd, F_OFD_SETLK, &lock);
  return input;
}

// Another process opened it, so what open() would have refused is checked here.
std::variant<JobsInput, JobsProblem> JobsInput::open_stdin() {
  constexpr const char* kInstead =
      "; connect it to a file or a pipe of jobs, or give the path of a jobs file";
  const int flags = fcntl(STDIN_FILENO, F_GETFL);
  if (flags < 0 || (flags & O_ACCMODE) == O_WRONLY || (flags & O_PATH) != 0)
    return JobsProblem{std::string("stdin: is closed, or not open for reading") + kInstead};
  struct stat status {};
  if (fstat(STDIN_FILENO, &status) != 0) return JobsProblem{"stdin: cannot be examined: " + reason(errno)};
  if (S_ISDIR(status.st_mode)) return JobsProblem{std::string("stdin: is a directory") + kInstead};
  return JobsInput(STDIN_FILENO, false, false, "stdin");
}

std::variant<JobsInput, JobsProblem> JobsInput::copy_of(const JobsInput& pipe) {
  const char* folder = std::getenv("TMPDIR");
  if (folder == nullptr || *folder == '\0') folder = "/tmp";
  std::string path = std::string(folder) + "/workpool-XXXXXX";
  const int fd = ::mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0)
    return JobsProblem{pipe.path_ + ": no file for a copy of it in " + folder + ": " + reason(errno)};
  ::unlink(path.c_str());
  JobsInput copy(fd, true, true, pipe.path_);
  std::string buffer(kCopyBytes, '\0');
  while (true) {
    pollfd ready{pipe.fd_, POLLIN, 0};
    ::poll(&ready, 1, -1);  // a FIFO is open without waiting, and reads as ended until its writer comes
    const ssize_t got = ::read(pipe.fd_, buffer.data(), buffer.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) return JobsProblem{pipe.path_ + ": cannot be read: " + reason(errno)};
    if (got == 0) return copy;
    for (ssize_t done = 0; done < got;) {
      const ssize_t written = ::write(fd, buffer.data() + done, static_cast<std::size_t>(got - done));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0)
        return JobsProblem{pipe.path_ + ": no room for a copy of it in " + folder + ": " + reason(errno)};
      done += written;
    }
  }
}

JobsInput::JobsInput(JobsInput&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      owned_(other.owned_),
      regular_(other.regular_),
      path_(std::move(other.path_)),
      opened_(other.opened_) {}

JobsInput::~JobsInput() {
  if (owned_ && fd_ >= 0) close(fd_);
}

LoadedJob load_job(const JobView& line, const JobDefaults& defaults, SharedBytesPacker& works) {
  LoadedJob loaded;
  loaded.facts.id = line.id;
  loaded.facts.spec = line.spec;
  loaded.facts.priority = line.priority;
  loaded.facts.timeout = line.timeout.value_or(defaults.timeout.value_or(Duration(0)));
  loaded.facts.retries = line.retries.value_or(defaults.retries.value_or(0));
  loaded.facts.slots = line.requirement.slots;
  loaded.facts.payload_bytes = static_cast<std::uint32_t>(line.work.size());
  // The work is compact, with `cmd` first; a string may be {"base64": …}.
  loaded.facts.by_shell = line.work.starts_with(R"({"cmd":)") && !line.work.starts_with(R"({"cmd":[)");
  if (line.notes != nullptr) loaded.facts.notes.emplace() = *line.notes;
  loaded.work = works.add(line.work);
  return loaded;
}

// ---- WakeUp ----

WakeUp::WakeUp() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (event_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
}

WakeUp::~WakeUp() { close(event_); }

void WakeUp::raise() {
  const std::uint64_t one = 1;
  // Fails only if the counter is full, and then it is raised.
  [[maybe_unused]] const ssize_t written = write(event_, &one, sizeof one);
}

bool WakeUp::wait(int fd, bool to_write) {
  pollfd polled[2] = {{event_, POLLIN, 0}, {fd, static_cast<short>(to_write ? POLLOUT : POLLIN), 0}};
  while (poll(polled, fd >= 0 ? 2 : 1, -1) < 0) CHECK(errno == EINTR);
  std::uint64_t count = 0;
  return read(event_, &count, sizeof count) == sizeof count;
}

}  // namespace workpool::dispatcher
