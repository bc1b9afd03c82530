// SPDX-License-Identifier: MIT
#include "dispatcher/io/keys/key_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/ids.h"
#include "common/base/text.h"
#include "common/each/shell_text.h"
#include "common/io/clock.h"
#include "common/io/descriptor.h"
#include "common/io/write_all.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kLockMost = seconds(10);
constexpr Duration kLockPause = milliseconds(10);
constexpr std::string_view kBesideEnd = ".tmp";

std::string shown(const std::string& path) { return printable(path, 300); }

[[noreturn]] void refuse(const std::string& path, const std::string& problem) {
  throw KeyFileError(ExitCode::kUnsafe, shown(path) + " " + problem);
}

[[noreturn]] void fail(const std::string& path, const std::string& what, int error) {
  throw KeyFileError(ExitCode::kResultsFailed,
                     shown(path) + " " + what + ": " + std::generic_category().message(error));
}

// ---- reading ----

void check_trust(const std::string& path, const struct stat& info) {
  if (!S_ISREG(info.st_mode)) refuse(path, "is no regular file, and so no key file");
  if (info.st_uid != ::geteuid()) {
    refuse(path, "belongs to another user (" + std::to_string(info.st_uid) +
                     "): a key file has to belong to the user who uses it (" + std::to_string(::geteuid()) +
                     ")");
  }
  if ((info.st_mode & 077) != 0)
    refuse(path, "can be read or written by other users: chmod 600 " + in_shell(path));
}

Descriptor open_trusted(const std::string& path, int access, const ProgramNames& names) {
  // Not blocking, so that a pipe in its place does not hold us.
  Descriptor file(::open(path.c_str(), access | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat info {};
  if (file.is_open()) {
    if (::fstat(file.get(), &info) != 0) fail(path, "cannot be looked at", errno);
    check_trust(path, info);
    return file;
  }
  const int error = errno;
  if (error == ENOENT)
    refuse(path, "does not exist; make one: " + names.dispatcher + " keygen " + in_shell(path));
  // A link, a folder, a pipe and another user's file each fail to open in ways of their own.
  if (::lstat(path.c_str(), &info) == 0) {
    if (S_ISLNK(info.st_mode)) refuse(path, "is a symbolic link: give the file that it leads to");
    check_trust(path, info);
  }
  refuse(path, "cannot be opened: " + std::generic_category().message(error));
}

KeyFile read_opened(const std::string& path, int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) fail(path, "cannot be looked at", errno);
  // One byte more than is allowed: what is longer is seen as such, whatever its size was said to be.
  std::string text(std::min<std::size_t>(static_cast<std::size_t>(info.st_size), kKeyFileBytesMax) + 1, '\0');
  const WipedAtEnd wiped(text);
  std::size_t have = 0;
  while (have < text.size()) {
    const ssize_t count = ::pread(fd, text.data() + have, text.size() - have, static_cast<off_t>(have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) refuse(path, "cannot be read: " + std::generic_category().message(errno));
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  auto parsed = parse_key_file(std::string_view(text).substr(0, have));
  if (auto* file = std::get_if<KeyFile>(&parsed)) return std::move(*file);
  const auto& fault = std::get<KeyFileFault>(parsed);
  if (fault.line == 0) refuse(path, "is damaged: it " + fault.problem);
  refuse(path, "is damaged: line " + std::to_string(fault.line) + " " + fault.problem);
}

// ---- writing ----

std::pair<std::string, std::string> folder_and_name(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

void sync_folder(const std::string& path) {
  const Descriptor folder(::open(folder_and_name(path).first.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  // EINVAL: a file system that knows no sync of folders.
  if (!folder.is_open() || (::fsync(folder.get()) != 0 && errno != EINVAL))
    fail(path, "is written, but its folder cannot be synced", errno);
}

// The text of a file beside `path`, which goes with this object unless it got its name.
class Beside {
 public:
  Beside(const std::string& path, const KeyFile& file) : path_(path) {
    std::uint64_t random = 0;
    CHECK(::getrandom(&random, sizeof random, 0) == static_cast<ssize_t>(sizeof random));
    beside_ = path + '.' + hex64(random) + std::string(kBesideEnd);
    const Descriptor opened(
        ::open(beside_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!opened.is_open()) fail(path, "cannot be written", errno);
    std::string text = key_file_text(file);
    const WipedAtEnd wiped(text);
    int error = ::fchmod(opened.get(), 0600) == 0 ? 0 : errno;  // the umask may have taken more
    if (error == 0) error = write_all(opened.get(), text);
    if (error == 0 && ::fsync(opened.get()) != 0) error = errno;
    if (error == 0) return;
    ::unlink(beside_.c_str());
    fail(path, "cannot be written", error);
  }
  ~Beside() {
    if (!beside_.empty()) ::unlink(beside_.c_str());
  }
  Beside(const Beside&) = delete;
  Beside& operator=(const Beside&) = delete;

  void replace() {
    if (::rename(beside_.c_str(), path_.c_str()) != 0) fail(path_, "cannot be replaced", errno);
    beside_.clear();
  }
  // Returns false if there is something by that name already.
  bool place_new() {
    if (::renameat2(AT_FDCWD, beside_.c_str(), AT_FDCWD, path_.c_str(), RENAME_NOREPLACE) == 0) {
      beside_.clear();
      return true;
    }
    // NFS and old kernels know no such rename, but links.
    if ((errno == EINVAL || errno == ENOSYS) && ::link(beside_.c_str(), path_.c_str()) == 0) return true;
    const int error = errno;
    struct stat info {};
    // Also if our file has been cleared away, by an edit of the file that is there.
    if (error == EEXIST || ::lstat(path_.c_str(), &info) == 0) return false;
    fail(path_, "cannot be written", error);
  }

 private:
  const std::string& path_;
  std::string beside_;
};

// Whether `entry` is a file that some Beside of `name` has left.
bool is_left_over(std::string_view entry, const std::string& name) {
  constexpr std::size_t kDigits = 16;
  if (entry.size() != name.size() + 1 + kDigits + kBesideEnd.size()) return false;
  std::uint64_t number = 0;
  return entry.starts_with(name + '.') && entry.ends_with(kBesideEnd) &&
         parse_hex64(std::string(entry.substr(name.size() + 1, kDigits)), number);
}

// REQUIRES: the lock of `path`. What stands beside it is then of nobody who goes on: of killed edits, and of
// those that want to make a file that is there already.
void clear_left_over(const std::string& path) {
  const auto [folder, name] = folder_and_name(path);
  const std::unique_ptr<DIR, int (*)(DIR*)> list(::opendir(folder.c_str()), ::closedir);
  if (list == nullptr) return;
  while (const dirent* entry = ::readdir(list.get()))
    if (is_left_over(entry->d_name, name)) ::unlinkat(::dirfd(list.get()), entry->d_name, 0);
}

bool leads_to(const std::string& path, int fd) {
  struct stat there {};
  struct stat opened {};
  return ::lstat(path.c_str(), &there) == 0 && ::fstat(fd, &opened) == 0 && there.st_dev == opened.st_dev &&
         there.st_ino == opened.st_ino;
}

void pause() {
  const timespec pause{0, std::chrono::nanoseconds(kLockPause).count()};
  ::nanosleep(&pause, nullptr);
}

// The file that `path` leads to, locked.
Descriptor lock_file(const std::string& path, const ProgramNames& names) {
  for (const Time until = boot_time() + kLockMost;;) {
    // Open for writing, since NFS makes of the lock one that needs it.
    Descriptor file = open_trusted(path, O_RDWR, names);
    while (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 && (errno == EWOULDBLOCK || errno == EINTR)) {
      if (boot_time() > until) {
        throw KeyFileError(
            ExitCode::kResultsFailed,
            shown(path) + " is being changed by another command, and has been for 10 s: try again");
      }
      pause();
    }
    if (leads_to(path, file.get())) return file;
  }
}

}  // namespace

std::string in_shell(const std::string& word) {
  std::string text;
  append_shell_value(text, word, {});
  return printable(text, 300);
}

KeyFile read_key_file(const std::string& path, const ProgramNames& names) {
  return read_opened(path, open_trusted(path, O_RDONLY, names).get());
}

void write_new_key_file(const std::string& path, const KeyFile& file) {
  struct stat info {};
  // A look first, so that an attempt in vain leaves nothing for a moment.
  bool made = false;
  if (::lstat(path.c_str(), &info) != 0) {
    Beside beside(path, file);
    made = beside.place_new();
  }
  if (!made) {
    throw KeyFileExists(ExitCode::kNotAllOk,
                        shown(path) +
                            " exists already, and a key file is never overwritten: remove it first, "
                            "or give another name");
  }
  sync_folder(path);
}

void replace_key_file(const std::string& path, const KeyFile& file, const ProgramNames& names) {
  const Descriptor locked = lock_file(path, names);
  read_opened(path, locked.get());  // what is no key file of ours is not replaced
  clear_left_over(path);
  Beside(path, file).replace();
  sync_folder(path);
}

void edit_key_file(const std::string& path, const ProgramNames& names,
                   const std::function<void(KeyFile&)>& edit) {
  const Descriptor locked = lock_file(path, names);
  KeyFile file = read_opened(path, locked.get());
  edit(file);
  clear_left_over(path);
  Beside(path, file).replace();
  sync_folder(path);
}

void close_to_others(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_uid == ::geteuid() &&
      (info.st_mode & 077) != 0)
    ::fchmod(fd, info.st_mode & 0700);
}

KeyFileWatch::KeyFileWatch(std::string path, ProgramNames names)
    : path_(std::move(path)), names_(std::move(names)) {}

KeyFileWatch::Stamp KeyFileWatch::stamp() const {
  struct stat info {};
  if (::lstat(path_.c_str(), &info) != 0) return {};
  const auto ns = [](const timespec& time) { return time.tv_sec * 1'000'000'000 + time.tv_nsec; };
  return {info.st_dev,     info.st_ino, static_cast<std::uint64_t>(info.st_size),
          info.st_mode,    info.st_uid, ns(info.st_mtim),
          ns(info.st_ctim)};
}

bool KeyFileWatch::changed() const { return !read_ || stamp() != seen_; }

KeyFile KeyFileWatch::read() {
  // Before the reading, so that a change in between is seen at the next look.
  const Stamp before = stamp();
  KeyFile file = read_key_file(path_, names_);
  seen_ = before;
  read_ = true;
  return file;
}

}  // namespace workpool::dispatcher
