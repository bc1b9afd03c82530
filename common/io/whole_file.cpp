// SPDX-License-Identifier: MIT
#include "common/io/whole_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <climits>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "common/base/text.h"
#include "common/io/write_all.h"

namespace workpool {
namespace {

constexpr Duration kUnreadMost = seconds(2);

// A duplicate, because something else might get the number later.
Descriptor open_descriptor(int number) {
  const int flags = ::fcntl(number, F_GETFL);
  if (flags < 0) return {};
  if ((flags & O_ACCMODE) != O_RDONLY) return Descriptor(::fcntl(number, F_DUPFD_CLOEXEC, 3));
  errno = EBADF;
  return {};
}

// Anybody who may write to the folder can guess the name, so nothing that already has it is opened: it may be
// a link to a file of ours, or a file that its maker reads. An older file of ours with our number is removed.
Descriptor make_afresh(const std::string& path) {
  ::unlink(path.c_str());
  return Descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
}

}  // namespace

std::optional<int> descriptor_named(std::string_view path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    if (!path.starts_with(folder)) continue;
    const std::string_view digits = path.substr(folder.size());
    int number = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (read.ec == std::errc() && read.ptr == digits.data() + digits.size() && number >= 0) return number;
  }
  return std::nullopt;
}

WholeFile::WholeFile(std::string path) : path_(std::move(path)) {
  if (const auto number = descriptor_named(path_)) {
    named_ = open_descriptor(*number);
    if (!named_.is_open()) fail("cannot be written", errno);
    return;
  }
  struct stat info {};
  const bool exists = ::stat(path_.c_str(), &info) == 0;
  if (exists && S_ISDIR(info.st_mode)) {
    fail("is a folder");
    return;
  }
  if (exists && !S_ISREG(info.st_mode)) return;
  // A symbolic link stays one.
  char resolved[PATH_MAX];
  if (exists && ::realpath(path_.c_str(), resolved) != nullptr) path_ = resolved;
  beside_ = path_ + '.' + std::to_string(::getpid()) + ".tmp";
  const Descriptor tried = make_afresh(beside_);
  if (!tried.is_open()) {
    fail("cannot be written", errno);
    return;
  }
  ::unlink(beside_.c_str());
}

bool WholeFile::begin() {
  if (beside_.empty() || ::unlink(path_.c_str()) == 0 || errno == ENOENT) return true;
  return fail("cannot be replaced", errno);
}

bool WholeFile::write(std::string_view text) {
  if (named_.is_open()) return write_in_place(named_.get(), text);
  const bool in_place = beside_.empty();
  // A pipe that nobody has opened for reading is an error at once.
  constexpr int kInPlace = O_WRONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
  Descriptor file = in_place ? Descriptor(::open(path_.c_str(), kInPlace)) : make_afresh(beside_);
  if (!file.is_open()) return fail("cannot be written", errno);
  if (in_place) return write_in_place(file.get(), text);
  int error = write_all(file.get(), text);
  if (error == 0 && ::fdatasync(file.get()) != 0) error = errno;
  file.close();
  if (error == 0 && ::rename(beside_.c_str(), path_.c_str()) != 0) error = errno;
  if (error == 0) return true;
  ::unlink(beside_.c_str());
  return fail("cannot be written", error);
}

bool WholeFile::write_in_place(int fd, std::string_view text) {
  const int error = write_all(fd, text, kUnreadMost);
  if (error == 0) return true;
  if (error != ETIMEDOUT) return fail("cannot be written", error);
  return fail("cannot be written: nobody has read from it for 2 s");
}

bool WholeFile::fail(const std::string& what, int error) {
  problem_ = printable(path_, 300) + ' ' + what;
  if (error != 0) problem_ += ": " + std::generic_category().message(error);
  return false;
}

}  // namespace workpool
