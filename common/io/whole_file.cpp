// SPDX-License-Identifier: MIT
#include "common/io/whole_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "common/base/text.h"
#include "common/io/descriptor.h"

namespace workpool {
namespace {

// Returns errno, or 0.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return 0;
}

}  // namespace

WholeFile::WholeFile(std::string path) : path_(std::move(path)) {
  struct stat info {};
  const bool exists = ::stat(path_.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) {
    fail("is a folder", 0);
    return;
  }
  if (exists && !S_ISREG(info.st_mode)) return;
  // A symbolic link stays one.
  char resolved[PATH_MAX];
  if (exists && ::realpath(path_.c_str(), resolved) != nullptr) path_ = resolved;
  beside_ = path_ + '.' + std::to_string(::getpid()) + ".tmp";
  const Descriptor tried(::open(beside_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!tried.is_open()) {
    fail("cannot be written", errno);
    return;
  }
  ::unlink(beside_.c_str());
  if (exists && ::unlink(path_.c_str()) != 0) fail("cannot be replaced", errno);
}

bool WholeFile::write(std::string_view text) {
  const bool in_place = beside_.empty();
  // A pipe that nobody reads must not hold us up.
  const int flags = O_WRONLY | O_CLOEXEC | (in_place ? O_NONBLOCK : O_CREAT | O_TRUNC);
  Descriptor file(::open(in_place ? path_.c_str() : beside_.c_str(), flags, 0666));
  if (!file.is_open()) return fail("cannot be written", errno);
  ::fcntl(file.get(), F_SETFL, 0);
  int error = write_all(file.get(), text);
  if (error == 0 && !in_place && ::fdatasync(file.get()) != 0) error = errno;
  file.close();
  if (error == 0 && !in_place && ::rename(beside_.c_str(), path_.c_str()) != 0) error = errno;
  if (error == 0) return true;
  if (!in_place) ::unlink(beside_.c_str());
  return fail("cannot be written", error);
}

bool WholeFile::fail(const char* what, int error) {
  problem_ = printable(path_, 300) + ' ' + what;
  if (error != 0) problem_ += ": " + std::generic_category().message(error);
  return false;
}

}  // namespace workpool
