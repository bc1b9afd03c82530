// SPDX-License-Identifier: MIT
#include "dispatcher/io/net/socket_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <system_error>
#include <vector>

#include "common/base/address.h"
#include "common/base/text.h"

namespace workpool::dispatcher {
namespace {

constexpr std::string_view kPrefix = "workpool-";
constexpr std::string_view kLetters = "XXXXXX";  // which mkdtemp replaces
constexpr const char* kLock = "lock";
// A start looks at so many entries for folders that are left over, and removes so many: it must stay quick.
constexpr int kLookedAtMost = 4096;
constexpr int kRemovedMost = 64;

using Listing = std::unique_ptr<DIR, int (*)(DIR*)>;

std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr ? value : "";
}

bool is_ours_alone(const struct stat& info) {
  return S_ISDIR(info.st_mode) && info.st_uid == ::geteuid() && (info.st_mode & 077) == 0;
}

// Where to try, in this order. Not first in XDG_RUNTIME_DIR: that goes when the user logs out, and a run may
// go on.
std::vector<std::string> places() {
  std::vector<std::string> found = {variable("TMPDIR"), "/tmp", "/dev/shm", "/var/tmp",
                                    variable("XDG_RUNTIME_DIR")};
  std::erase_if(found, [](const std::string& place) {
    return !is_folder(place) || !is_utf8(place) ||
           place.size() + 1 + kPrefix.size() + kLetters.size() > kFolderBytesMost;
  });
  return found;
}

// Only what we make stands in it: files and sockets.
void remove_all(int parent, const char* name) {
  const Descriptor folder(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  const Listing list(folder.is_open() ? ::fdopendir(::dup(folder.get())) : nullptr, ::closedir);
  if (list == nullptr) return;
  while (const dirent* entry = ::readdir(list.get())) ::unlinkat(folder.get(), entry->d_name, 0);
  ::unlinkat(parent, name, AT_REMOVEDIR);
}

// The lock of such a folder of ours whose dispatcher is gone; else closed. One that has no lock yet is being
// made.
Descriptor lock_of_left_over(int parent, const char* name) {
  const Descriptor folder(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!folder.is_open() || ::fstat(folder.get(), &info) != 0 || !is_ours_alone(info)) return {};
  Descriptor lock(::openat(folder.get(), kLock, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (lock.is_open() && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) lock.close();
  return lock;
}

void remove_leftovers(const std::string& place) {
  const Descriptor parent(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const Listing list(parent.is_open() ? ::fdopendir(::dup(parent.get())) : nullptr, ::closedir);
  if (list == nullptr) return;
  int removed = 0;
  for (int i = 0; i < kLookedAtMost && removed < kRemovedMost; ++i) {
    const dirent* entry = ::readdir(list.get());
    if (entry == nullptr) return;
    const std::string_view name = entry->d_name;
    if (!name.starts_with(kPrefix) || name.size() != kPrefix.size() + kLetters.size()) continue;
    const Descriptor lock = lock_of_left_over(parent.get(), entry->d_name);
    if (!lock.is_open()) continue;
    remove_all(parent.get(), entry->d_name);
    ++removed;
  }
}

}  // namespace

SocketFolder::SocketFolder() {
  int error = ENOENT;
  for (const std::string& place : places()) {
    std::string path = place + '/' + std::string(kPrefix) + std::string(kLetters);
    if (::mkdtemp(path.data()) == nullptr) {
      error = errno;
      continue;
    }
    // Locked before it gets its name, so that nobody takes the folder for one that is left over.
    const std::string name = path + '/' + kLock;
    const std::string made = name + ".new";
    lock_ = Descriptor(::open(made.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock_.is_open() || ::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0 ||
        ::rename(made.c_str(), name.c_str()) != 0) {
      error = errno;
      remove_all(AT_FDCWD, path.c_str());
      continue;
    }
    path_ = std::move(path);
    remove_leftovers(place);
    return;
  }
  throw std::system_error(error, std::generic_category(),
                          "cannot make a folder for the sockets of this run in TMPDIR or /tmp; set TMPDIR to "
                          "a folder with a short path on this machine");
}

SocketFolder::~SocketFolder() {
  if (!path_.empty()) remove_all(AT_FDCWD, path_.c_str());
}

}  // namespace workpool::dispatcher
