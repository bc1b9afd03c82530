// SPDX-License-Identifier: MIT
#include "worker/io/process/output_files.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "common/base/text.h"
#include "common/io/file_digest.h"
#include "common/io/run_lock.h"
#include "worker/io/process/spawn.h"

namespace workpool::worker {
namespace {

constexpr std::size_t kNameBytesInBeside = 200;  // of the file's own name; with what is added it stays a name
constexpr std::size_t kKeyDigits = 8;
constexpr std::size_t kShownBytesMost = 1000;

std::string reason(int error) {
  const char* text = ::strerrordesc_np(error);
  return text != nullptr ? text : "error " + std::to_string(error);
}

std::string shown_path(const std::string& path) { return printable(path, kShownBytesMost); }

OutputFiles::Fault fault(const std::string& path, int error, const std::string& why = "") {
  return {error,
          "cannot write its output to " + shown_path(path) + ": " + (why.empty() ? reason(error) : why)};
}

// Makes the folders of `path`, as mkdir -p does, as far as they are missing.
void make_folders(int base, const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
    ::mkdirat(base, path.substr(0, slash).c_str(), 0777);
  ::mkdirat(base, path.c_str(), 0777);
}

Descriptor open_folder(int base, const std::string& path) {
  return lifted(::openat(base, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

std::string path_of(int folder, const std::string& name) {
  char path[PATH_MAX];
  const ssize_t size = ::readlink(("/proc/self/fd/" + std::to_string(folder)).c_str(), path, sizeof path);
  const std::string in(path, size > 0 ? static_cast<std::size_t>(size) : 0);
  return (in.ends_with('/') ? in : in + '/') + name;
}

// A run keeps its results file and its jobs file locked: a job must not replace them.
bool is_locked(int folder, const std::string& name) {
  const Descriptor file(::openat(folder, name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  return file.is_open() && is_used_by_a_run(file.get());
}

// Why nothing may be put there; empty if it is free, or has a file that can be replaced.
std::string place_taken(int folder, const std::string& name) {
  struct stat info {};
  if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return "";
  if (S_ISREG(info.st_mode))
    return is_locked(folder, name) ? "a program has it locked, as a run has its jobs and its results" : "";
  if (S_ISDIR(info.st_mode)) return "it is a folder";
  return S_ISLNK(info.st_mode) ? "it is a link: give the path of the file itself"
                               : "it is no regular file, and would be replaced by one";
}

}  // namespace

OutputFiles::OutputFiles(OutputFiles&& other) noexcept
    : files_(std::exchange(other.files_, {})), is_shared_(std::exchange(other.is_shared_, false)) {}

OutputFiles& OutputFiles::operator=(OutputFiles&& other) noexcept {
  discard();
  files_ = std::exchange(other.files_, {});
  is_shared_ = std::exchange(other.is_shared_, false);
  return *this;
}

std::optional<OutputFiles::Fault> OutputFiles::open(const Wanted& wanted) {
  const Descriptor folder =
      wanted.folder.empty() ? Descriptor() : open_folder(wanted.starting_fd, wanted.folder);
  if (!wanted.folder.empty() && !folder.is_open()) {
    const int error = errno;
    return Fault{error, "cannot change to directory " + shown_path(wanted.folder) + ": " + reason(error)};
  }
  const int base = folder.is_open() ? folder.get() : wanted.starting_fd;
  std::optional<Fault> found;
  if (wanted.output) found = find_place(base, *wanted.output, files_[kOutput]);
  if (!found && wanted.errors) found = find_place(base, *wanted.errors, files_[kErrors]);
  if (!found && wanted.output && wanted.errors && is_same_place(files_[kOutput], files_[kErrors])) {
    is_shared_ = true;
    files_[kErrors] = {};
  }
  if (!found && files_[kOutput].wanted) found = make_file(wanted.key, "", files_[kOutput]);
  if (!found && files_[kErrors].wanted) found = make_file(wanted.key, ".err", files_[kErrors]);
  if (found) discard();
  return found;
}

// Opens the folder of `path`, and makes it if it is missing.
std::optional<OutputFiles::Fault> OutputFiles::find_place(int base, const std::string& path, File& file) {
  const std::size_t slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash == 0 ? 1 : slash);
  file.wanted = true;
  file.shown = path;
  file.name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (file.name.empty() || file.name == "." || file.name == "..") return fault(path, EISDIR);
  if (file.name.size() > NAME_MAX) return fault(path, ENAMETOOLONG);
  file.folder = open_folder(base, folder);
  if (!file.folder.is_open() && errno == ENOENT) {
    make_folders(base, folder);
    file.folder = open_folder(base, folder);
  }
  if (!file.folder.is_open()) return fault(path, errno);
  if (const std::string why = place_taken(file.folder.get(), file.name); !why.empty())
    return fault(path, EISDIR, why);
  return std::nullopt;
}

// The same file may be spelled in two ways ("o/a", "./o/a", through a linked folder).
bool OutputFiles::is_same_place(const File& one, const File& other) {
  struct stat first {};
  struct stat second {};
  return one.name == other.name && ::fstat(one.folder.get(), &first) == 0 &&
         ::fstat(other.folder.get(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

std::optional<OutputFiles::Fault> OutputFiles::make_file(const std::string& key, const std::string& mark,
                                                         File& file) {
  std::string beside =
      "." + file.name.substr(0, kNameBytesInBeside) + "." + key.substr(0, kKeyDigits) + mark + ".part";
  const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  file.writing = lifted(::openat(file.folder.get(), beside.c_str(), flags, 0666));
  if (!file.writing.is_open()) return fault(file.shown, errno);
  file.beside = std::move(beside);
  return std::nullopt;
}

void OutputFiles::close_ours() {
  for (File& file : files_) file.writing.close();
}

void OutputFiles::put_file(File& file, Watch& watch, Boxed<OutputFile>& into, Put& put) {
  const Descriptor reading(
      ::openat(file.folder.get(), file.beside.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  FileDigest content;
  if (reading.is_open()) {
    content = digest_of_file(reading.get(), [&watch](std::string_view) {
      ++watch.steps;
      return !watch.given_up;
    });
  } else {
    content.error = errno;
  }
  ++watch.steps;
  std::string why = content.error != 0 ? reason(content.error) : place_taken(file.folder.get(), file.name);
  if (watch.given_up) {
    put.given_up = true;
    why = "it took too long";
  }
  if (why.empty() &&
      ::renameat(file.folder.get(), file.beside.c_str(), file.folder.get(), file.name.c_str()) != 0)
    why = reason(errno);
  ++watch.steps;
  if (!why.empty()) {
    put.problem = "its output could not be put into " + shown_path(file.shown) + ": " + why;
    return;
  }
  file.beside.clear();
  into.emplace() = {path_of(file.folder.get(), file.name), content.bytes, content.digest};
}

OutputFiles::Put OutputFiles::put(Watch& watch) {
  close_ours();
  Put put;
  if (files_[kOutput].wanted) put_file(files_[kOutput], watch, put.output_file, put);
  if (files_[kErrors].wanted) put_file(files_[kErrors], watch, put.error_file, put);
  if (is_shared_) put.error_file = put.output_file;
  discard();
  return put;
}

void OutputFiles::say_none(Outcome& outcome) const {
  if (!outcome.command) return;
  if (files_[kOutput].wanted) outcome.command->keeps_output = false;
  if (files_[kErrors].wanted || is_shared_) outcome.command->keeps_errors = false;
}

void OutputFiles::say(Put&& put, Outcome& outcome) {
  CommandEnd& end = *outcome.command;
  if (put.output_file) {
    end.output_file = std::move(put.output_file);
    end.keeps_output = true;
  }
  if (put.error_file) {
    end.error_file = std::move(put.error_file);
    end.keeps_errors = true;
  }
  if (put.problem.empty()) return;
  if (outcome.status == Status::kOk) {
    outcome.status = Status::kFailed;
    outcome.kind = ErrorKind::kOutput;
    outcome.message = std::move(put.problem);
  } else {
    outcome.message += "; " + put.problem;
  }
}

void OutputFiles::discard() {
  for (File& file : files_) {
    if (!file.beside.empty()) ::unlinkat(file.folder.get(), file.beside.c_str(), 0);
    file = {};
  }
  is_shared_ = false;
}

}  // namespace workpool::worker
