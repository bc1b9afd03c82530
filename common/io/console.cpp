// SPDX-License-Identifier: MIT
#include "common/io/console.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <utility>

namespace workpool {

namespace {

// A reader that stalls for a moment costs nothing; one that never reads costs this much memory.
constexpr std::size_t kWaitingBytesMax = 256 * 1024;

// POLLOUT on a pipe promises room for one write of PIPE_BUF bytes, not for more.
constexpr std::size_t kPolledWriteBytesMax = 4096;

// A window that is made narrower wraps the live line as it stands into several rows. The cursor is parked at
// its start, so all of them go. The terminal does not wrap what is drawn, because it may be narrower already
// than we know. (What is below is not erased from the left margin: in the first row tmux takes that for a
// wish to keep the screen, and would keep a copy of each state of the line.)
constexpr const char* kClearLive = "\r \x1b[J\r\x1b[K";
constexpr const char* kNoWrapping = "\x1b[?7l";
constexpr const char* kWrappingAndToItsStart = "\x1b[?7h\r";

bool ready_for_writing(int fd, int wait_ms) {
  pollfd poll_fd{fd, POLLOUT, 0};
  return ::poll(&poll_fd, 1, wait_ms) == 1 && (poll_fd.revents & POLLOUT) != 0;
}

std::int64_t monotonic_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

void fill_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // open() returns `fd`, the lowest free number, as those below are open by now. The mode is the wrong way
    // round for stdin and stdout, so that reading jobs or writing results there is an error, not an empty
    // file.
    const int opened = ::open("/dev/null", fd == 1 ? O_RDONLY : O_WRONLY);
    if (opened > fd) ::close(opened);
  }
}

Console::Console(int fd) : fd_(fd) {
  choose_way();
  const char* term = std::getenv("TERM");
  const std::string_view name = term == nullptr ? "" : term;
  redrawable_ = ::isatty(fd_) == 1 && !name.empty() && name != "dumb";
}

Console::~Console() {
  if (own_fd_ != -1) ::close(own_fd_);
}

void Console::choose_way() {
  struct stat info {};
  if (::fstat(fd_, &info) != 0) return;  // closed: every write fails with EBADF, and the message is lost
  if (S_ISSOCK(info.st_mode)) {
    way_ = Way::kSocket;
  } else if (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode)) {
    const std::string path = "/proc/self/fd/" + std::to_string(fd_);
    own_fd_ = ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    // This fails if the pipe belongs to another user or /proc is missing. Then we wait for POLLOUT before
    // each write, which is as good unless somebody else fills the pipe in between.
    way_ = own_fd_ != -1 ? Way::kNonBlocking : Way::kPolled;
  }
}

std::size_t Console::columns() const {
  winsize size{};
  if (::ioctl(fd_, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

long Console::write_some(const char* data, std::size_t size) const {
  switch (way_) {
    case Way::kNonBlocking:
      return ::write(own_fd_, data, size);
    case Way::kSocket:
      return ::send(fd_, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    case Way::kPolled:
      if (!ready_for_writing(fd_, 0)) {
        errno = EAGAIN;
        return -1;
      }
      return ::write(fd_, data, std::min(size, kPolledWriteBytesMax));
    case Way::kPlain:
      return ::write(fd_, data, size);
  }
  return -1;
}

bool Console::write_waiting() {
  std::size_t written = 0;
  while (written < waiting_.size()) {
    const long count = write_some(waiting_.data() + written, waiting_.size() - written);
    if (count > 0) {
      written += static_cast<std::size_t>(count);
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      waiting_.erase(0, written);
      return false;
    } else {
      // Closed, gone or full: these bytes will never be read. A disk may have room for the next line.
      error_ = errno;
      const std::string_view rest = std::string_view(waiting_).substr(written);
      dropped_ += static_cast<std::uint64_t>(std::count(rest.begin(), rest.end(), '\n'));
      break;
    }
  }
  waiting_.clear();
  return true;
}

void Console::line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() + text.size() > kWaitingBytesMax && !write_waiting() &&
      waiting_.size() + text.size() > kWaitingBytesMax) {
    ++dropped_;
    return;
  }
  add_line(text);
  const std::uint64_t lost_before = dropped_;
  if (!write_waiting() || lost_before == 0 || dropped_ != lost_before) return;
  dropped_ = 0;
  add_line("(" + std::to_string(lost_before) + " lines before this one were lost: stderr took no more)");
  write_waiting();
}

void Console::add_live() {
  if (live_.empty()) return;
  waiting_ += kNoWrapping;
  waiting_ += live_;
  waiting_ += kWrappingAndToItsStart;
}

void Console::add_line(std::string_view text) {
  if (in_text_ || open_line_) waiting_ += '\n';
  if (!live_.empty() && !in_text_) waiting_ += kClearLive;
  in_text_ = open_line_ = false;
  waiting_ += text;
  waiting_ += '\n';
  add_live();
}

bool Console::take(std::string_view text, bool last) {
  const std::lock_guard lock(mutex_);
  if (text.empty()) return true;
  if (!waiting_.empty() && !write_waiting()) return false;
  error_ = 0;
  if (open_line_ && redrawable_) waiting_ += '\n';
  if (!live_.empty() && !in_text_) waiting_ += kClearLive;
  waiting_ += text;
  in_text_ = !last;
  open_line_ = last && !text.ends_with('\n');
  if (last && !live_.empty()) {
    if (std::exchange(open_line_, false)) waiting_ += '\n';
    add_live();
  }
  write_waiting();
  return true;
}

int Console::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

void Console::live(std::string_view text) {
  const std::lock_guard lock(mutex_);
  if (!redrawable_ || in_text_ || (text.empty() && live_.empty())) return;
  if (!waiting_.empty() && !write_waiting()) return;
  live_ = text;
  waiting_ = std::exchange(open_line_, false) ? "\n" : "";
  waiting_ += kClearLive;
  add_live();
  write_waiting();
}

void Console::flush(Duration limit) {
  const std::int64_t end = monotonic_ms() + std::chrono::duration_cast<milliseconds>(limit).count();
  const std::lock_guard lock(mutex_);
  while (!write_waiting()) {
    const std::int64_t left = end - monotonic_ms();
    if (left <= 0) return;
    ready_for_writing(fd_, static_cast<int>(std::min<std::int64_t>(left, 50)));
  }
}

bool print_answer(std::string_view text, Console& console, bool* closed) {
  while (!text.empty()) {
    const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EPIPE && closed != nullptr) {
      *closed = true;
      return false;
    }
    if (count <= 0) {
      console.line(std::string("cannot write the answer to stdout: ") + std::strerror(errno));
      return false;
    }
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace workpool
