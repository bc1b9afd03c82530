// SPDX-License-Identifier: MIT
// A screen or pipe as a test sees it, and runs to be shown on it.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "dispatcher/io/terminal/terminal.h"

namespace workpool::dispatcher {

using std::string;

class Screen {
 public:
  enum class Kind { kPipe, kTerminal };
  explicit Screen(Kind kind) {
    if (kind == Kind::kPipe) {
      EXPECT_EQ(::pipe2(ends_, O_CLOEXEC), 0);
    } else {
      EXPECT_EQ(::openpty(&ends_[0], &ends_[1], nullptr, nullptr, nullptr), 0);
      columns(100);
    }
    ::setenv("TERM", "xterm", 1);
    ::unsetenv("NO_COLOR");
  }
  ~Screen() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  int fd() const { return ends_[1]; }
  void columns(unsigned short count) const {
    const winsize size = {24, count, 0, 0};
    EXPECT_EQ(::ioctl(ends_[0], TIOCSWINSZ, &size), 0);
  }
  string read() const {
    string text;
    char buffer[4096];
    pollfd poll_fd{ends_[0], POLLIN, 0};
    while (::poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & POLLIN) != 0) {
      const ssize_t count = ::read(ends_[0], buffer, sizeof buffer);
      if (count <= 0) break;
      text.append(buffer, static_cast<std::size_t>(count));
    }
    text.erase(std::remove(text.begin(), text.end(), '\r'), text.end());
    return text;
  }

 private:
  int ends_[2] = {-1, -1};
};

inline constexpr Time kStart{seconds(1000)};

inline TerminalOptions options_of(Progress progress = Progress::kAuto) {
  TerminalOptions options;
  options.progress = progress;
  options.results = "out.jsonl";
  options.command = {"workpool-dispatcher", "run", "my jobs.jsonl", "-o", "out.jsonl"};
  options.listening = true;
  return options;
}

inline Snapshot snapshot_of(std::uint64_t ok, std::uint64_t failed, std::uint64_t total) {
  Snapshot snapshot;
  snapshot.total = total;
  snapshot.ok = ok;
  snapshot.failed = failed;
  snapshot.running = 4;
  snapshot.workers = 2;
  snapshot.slots = 4;
  snapshot.phase = "running";
  return snapshot;
}

inline JobEnded failure(const string& id, const string& message) {
  JobEnded job;
  job.id = id;
  job.line = 12;
  job.status = Status::kFailed;
  job.kind = ErrorKind::kExit;
  job.message = message;
  job.attempt = 1;
  job.worker = "node7";
  return job;
}

inline bool has(const string& text, const string& part) { return text.find(part) != string::npos; }

}  // namespace workpool::dispatcher
