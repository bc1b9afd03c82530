// SPDX-License-Identifier: MIT
#include "worker/io/process/handler_child.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <span>

#include "common/base/text.h"

namespace workpool::worker {
namespace {

// A long request is not to keep its memory for all short ones after it.
constexpr std::size_t kKeptBytes = 256 * 1024;

// -1: nothing there now; 0: closed, or not readable any more.
ssize_t read_some(int fd, char* to, std::size_t bytes) {
  while (true) {
    const ssize_t got = ::read(fd, to, bytes);
    if (got >= 0) return got;
    if (errno == EAGAIN) return -1;
    if (errno != EINTR) return 0;
  }
}

}  // namespace

std::uint64_t HandlerChild::ask(std::string_view id, std::uint32_t attempt, std::string_view args) {
  if (sent_ > unsent_.size() / 2) {  // it may never be empty while jobs flow
    unsent_.erase(0, sent_);
    sent_ = 0;
  }
  const std::uint64_t begins = fed_ + unsent_bytes();
  constexpr std::size_t kMembers = 64;
  const std::size_t needed = unsent_.size() + json_string_bytes(id) + args.size() + kMembers;
  if (needed > unsent_.capacity()) unsent_.reserve(std::max(needed, unsent_.capacity() * 2));
  std::array<char, 10> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), attempt).ptr;
  unsent_ += "{\"id\":";
  append_json_string(unsent_, id);
  unsent_ += ",\"attempt\":";
  unsent_.append(digits.data(), end);
  unsent_ += ",\"args\":";
  unsent_ += args;
  unsent_ += "}\n";
  return begins;
}

std::uint64_t HandlerChild::bytes_read() const {
  if (!channels_.input.is_open()) return read_;
  int unread = 0;
  if (::ioctl(channels_.input.get(), FIONREAD, &unread) != 0) return fed_;
  return fed_ - std::min<std::uint64_t>(fed_, static_cast<std::uint64_t>(unread));
}

std::uint64_t HandlerChild::take_back() {
  if (!channels_.input.is_open()) return fed_;
  // Only for now: while somebody could read it, we would not learn that the child has closed it.
  const std::string path = "/proc/self/fd/" + std::to_string(channels_.input.get());
  const Descriptor pipe(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  const int most = ::fcntl(channels_.input.get(), F_GETPIPE_SZ);
  if (!pipe.is_open() || most <= 0) return fed_;
  // All in one read, between any two reads of the child: so it is the end of what was written.
  std::string back(static_cast<std::size_t>(most), '\0');
  const ssize_t got = read_some(pipe.get(), back.data(), back.size());
  if (got <= 0) return fed_;
  back.resize(static_cast<std::size_t>(got));
  unsent_.replace(0, sent_, back);
  sent_ = 0;
  fed_ -= static_cast<std::uint64_t>(got);
  return fed_;
}

void HandlerChild::forget_from(std::uint64_t begins) {
  unsent_.resize(std::min<std::uint64_t>(unsent_.size(), sent_ + (begins - fed_)));
}

void HandlerChild::close_input() {
  read_ = bytes_read();
  channels_.input.close();
}

HandlerChild::Fed HandlerChild::feed() {
  while (has_unsent()) {
    const ssize_t written = ::write(channels_.input.get(), unsent_.data() + sent_, unsent_.size() - sent_);
    if (written >= 0) {
      sent_ += static_cast<std::size_t>(written);
      fed_ += static_cast<std::uint64_t>(written);
    } else if (errno == EAGAIN) {
      return Fed::kSome;
    } else if (errno != EINTR) {
      return Fed::kRefused;
    }
  }
  if (unsent_.capacity() > kKeptBytes) std::string().swap(unsent_);
  unsent_.clear();
  sent_ = 0;
  return Fed::kAll;
}

HandlerChild::Got HandlerChild::read_output() {
  if (!channels_.output.is_open()) return Got::kClosed;
  const std::span<char> room = lines_.room();
  const ssize_t got = read_some(channels_.output.get(), room.data(), room.size());
  if (got < 0) return Got::kAll;
  if (got == 0) {
    channels_.output.close();
    return Got::kClosed;
  }
  lines_.add(static_cast<std::size_t>(got));
  return static_cast<std::size_t>(got) == room.size() ? Got::kMore : Got::kAll;
}

bool HandlerChild::next_line(std::string_view& line, bool& too_long) {
  LineSplitter::Line next;
  if (!lines_.next(next)) return false;
  line = next.text;
  too_long = next.too_long;
  return true;
}

bool HandlerChild::read_errors(CaptureBuffer* errors) {
  if (!channels_.errors.is_open()) return false;
  std::array<char, 16 * 1024> block;
  const ssize_t got = read_some(channels_.errors.get(), block.data(), block.size());
  if (got == 0) channels_.errors.close();
  if (got <= 0) return false;
  if (errors != nullptr) errors->append({block.data(), static_cast<std::size_t>(got)});
  return true;
}

void HandlerChild::drop_output() {
  if (!channels_.output.is_open()) return;
  std::array<char, 16 * 1024> block;
  if (read_some(channels_.output.get(), block.data(), block.size()) == 0) channels_.output.close();
}

bool HandlerChild::reap() {
  if (exited_) return true;
  siginfo_t info{};
  if (::waitid(P_PIDFD, static_cast<id_t>(channels_.process.get()), &info, WEXITED | WNOHANG) != 0) {
    // Cannot happen, since only we wait for this child. Report a kill rather than wait forever.
    if (errno != ECHILD) return false;
    info.si_code = CLD_KILLED;
    info.si_status = SIGKILL;
  } else if (info.si_pid == 0) {
    return false;
  }
  exited_ = true;
  (info.si_code == CLD_EXITED ? status_ : by_signal_) = info.si_status;
  channels_.process.close();
  return true;
}

}  // namespace workpool::worker
