// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/line_output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <system_error>

namespace workpool::dispatcher {
namespace {

// A pipe that polls writable takes this much without blocking, and in one piece.
constexpr std::size_t kStreamBytes = PIPE_BUF;

}  // namespace

bool is_no_space(int error) { return error == ENOSPC || error == EDQUOT; }

LineOutput::LineOutput(int fd, bool regular) : fd_(fcntl(fd, F_DUPFD_CLOEXEC, 3)), regular_(regular) {
  if (fd_ < 0)
    throw std::system_error(errno, std::generic_category(), "cannot duplicate the descriptor of the results");
  if (regular_) end_ = std::max<std::int64_t>(lseek(fd_, 0, SEEK_END), 0);
}

LineOutput::~LineOutput() { close(fd_); }

LineOutput::Attempt LineOutput::write(std::string_view lines) {
  return regular_ ? write_file(lines) : write_stream(lines);
}

// A short write gives no reason. The rest is tried at once, and its error shows whether there is no space (a
// nearly full disk, quota) or a limit (RLIMIT_FSIZE: EFBIG).
LineOutput::Attempt LineOutput::write_file(std::string_view lines) {
  std::size_t written = 0;
  while (written < lines.size()) {
    const ssize_t count = ::write(fd_, lines.data() + written, lines.size() - written);
    if (count > 0) {
      written += static_cast<std::size_t>(count);
    } else if (count == 0) {
      return cut_back(lines.substr(0, written), EIO);
    } else if (errno != EINTR) {
      return cut_back(lines.substr(0, written), errno);
    }
  }
  end_ += static_cast<std::int64_t>(written);
  return {written, Ending::kDone, 0};
}

LineOutput::Attempt LineOutput::cut_back(std::string_view written, int error) {
  const std::size_t newline = written.rfind('\n');
  const std::size_t whole = newline == std::string_view::npos ? 0 : newline + 1;
  end_ += static_cast<std::int64_t>(whole);
  if (whole < written.size()) {
    int cut = 0;
    do cut = ftruncate(fd_, end_);
    while (cut != 0 && errno == EINTR);
    // Half a line stands at the end and must stay the last: a resume cuts it.
    if (cut != 0) return {whole, Ending::kError, is_no_space(error) ? errno : error};
    lseek(fd_, end_, SEEK_SET);  // no effect with O_APPEND
  }
  return {whole, is_no_space(error) ? Ending::kNoSpace : Ending::kError, error};
}

LineOutput::Attempt LineOutput::write_stream(std::string_view bytes) {
  std::size_t written = 0;
  while (written < bytes.size()) {
    // O_NONBLOCK would do this, but it belongs to the open file: a terminal or a pipe is shared with other
    // programs.
    pollfd ready{fd_, POLLOUT, 0};
    if (poll(&ready, 1, 0) == 0) return {written, Ending::kNotReady, 0};
    const ssize_t count =
        ::write(fd_, bytes.data() + written, std::min(bytes.size() - written, kStreamBytes));
    if (count >= 0) {
      written += static_cast<std::size_t>(count);
    } else if (errno == EAGAIN) {
      return {written, Ending::kNotReady, 0};
    } else if (errno != EINTR) {
      return {written, Ending::kError, errno};
    }
  }
  return {written, Ending::kDone, 0};
}

void LineOutput::wait_ready(Duration limit) const {
  pollfd ready{fd_, POLLOUT, 0};
  const auto millis = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
  poll(&ready, 1, static_cast<int>(std::clamp<std::int64_t>(millis, 0, INT_MAX)));
}

int LineOutput::misplaced(const std::string& path) const {
  struct stat ours {};
  struct stat there {};
  if (fstat(fd_, &ours) != 0) return 0;
  if (ours.st_size < end_) return ESTALE;
  // If the folder may no longer be searched, we cannot know.
  if (stat(path.c_str(), &there) != 0) return errno == ENOENT || errno == ENOTDIR ? ESTALE : 0;
  return ours.st_dev == there.st_dev && ours.st_ino == there.st_ino ? 0 : ESTALE;
}

int LineOutput::sync() { return fdatasync(fd_) == 0 ? 0 : errno; }

}  // namespace workpool::dispatcher
