// SPDX-License-Identifier: MIT
#include "part_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include <workpool/worker.h>

namespace {

[[noreturn]] void fail(const std::string& path) {
  throw workpool::Failure(path + ": " + std::strerror(errno));
}

// Different for each file that is written at one time, in this process and in others on the machine.
std::string part_path(const std::string& target) {
  static std::atomic<unsigned> number = 0;
  return target + ".part-" + std::to_string(::getpid()) + "-" + std::to_string(++number);
}

}  // namespace

PartFile::PartFile(std::string target)
    : target_(std::move(target)),
      path_(part_path(target_)),
      descriptor_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)) {
  if (descriptor_ < 0) fail(target_);
}

PartFile::~PartFile() {
  ::close(descriptor_);
  if (!in_place_) ::unlink(path_.c_str());
}

void PartFile::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(target_);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

void PartFile::put_into_place() {
  if (std::rename(path_.c_str(), target_.c_str()) != 0) fail(target_);
  in_place_ = true;
}
