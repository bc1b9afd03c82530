// SPDX-License-Identifier: MIT
// A file whose every open hangs, like one on a file server that does not answer: this process has a write
// lease on it and does not give it up (the kernel would take it after /proc/sys/fs/lease-break-time, 45 s).
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>

namespace workpool::worker {

class LeasedFile {
 public:
  // Makes it: a program that prints "ran".
  explicit LeasedFile(std::string path) : path_(std::move(path)) {
    before_ = ::signal(SIGIO, SIG_IGN);  // somebody waits
    std::ofstream(path_) << "#!/bin/sh\necho ran\n";
    ::chmod(path_.c_str(), 0755);
    fd_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
    held_ = fd_ >= 0 && ::fcntl(fd_, F_SETLEASE, F_WRLCK) == 0;
  }
  ~LeasedFile() {
    release();
    ::signal(SIGIO, before_);
  }
  LeasedFile(const LeasedFile&) = delete;
  LeasedFile& operator=(const LeasedFile&) = delete;

  bool is_held() const { return held_; }
  bool is_waited_for() const { return ::fcntl(fd_, F_GETLEASE) != F_WRLCK; }
  const std::string& path() const { return path_; }
  void release() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  std::string path_;
  int fd_ = -1;
  bool held_ = false;
  void (*before_)(int) = nullptr;
};

}  // namespace workpool::worker
