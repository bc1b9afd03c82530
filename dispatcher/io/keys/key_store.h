// SPDX-License-Identifier: MIT
// Key files on disk: read only if nobody else can have read or changed them, written so that there is always
// a whole one, and edited so that two edits at once both land.
//
// A new text is written beside the file (PATH.<16 hex digits>.tmp), synced and renamed. An edit locks the
// file (flock) and then looks whether the path still leads to it: if not, another edit has replaced it, and
// the lock is worth nothing. A process that is killed may leave its file beside; the next edit removes it.
// Where the file system knows no locks, edits at once are not safe from each other.
#pragma once

#include <cstdint>
#include <functional>
#include <stdexcept>
#include <string>

#include "common/base/exit_code.h"
#include "common/base/program_names.h"
#include "common/formats/key_file.h"

namespace workpool::dispatcher {

// what(): for people; names the file and what to do.
struct KeyFileError : std::runtime_error {
  KeyFileError(ExitCode reason, const std::string& message) : std::runtime_error(message), code(reason) {}
  ExitCode code;  // kUnsafe: missing, unsafe or damaged; kResultsFailed: cannot be written
};

// A word of a command that is shown to be typed.
std::string in_shell(const std::string& word);

struct KeyFileExists : KeyFileError {
  using KeyFileError::KeyFileError;
};

// Throws KeyFileError (kUnsafe) if the file is missing, a symbolic link, no regular file, of another user
// than our effective one, readable or writable by others, or damaged. Never waits for a pipe.
KeyFile read_key_file(const std::string& path, const ProgramNames& names = {});

// Makes the file, with the mode 0600 whatever the umask. Throws KeyFileExists if there is one, of any kind.
void write_new_key_file(const std::string& path, const KeyFile& file);

// Puts `file` in place of the one that is there, which must be a key file of ours. To change what is there,
// see edit_key_file.
void replace_key_file(const std::string& path, const KeyFile& file, const ProgramNames& names = {});

// Reads the file, calls `edit` with what it holds, and puts that in its place, all under the lock. If `edit`
// throws, nothing is changed. Waits up to 10 s for other edits.
void edit_key_file(const std::string& path, const ProgramNames& names,
                   const std::function<void(KeyFile&)>& edit);

// If the descriptor is a regular file of ours that others may read or write: takes that away from them. What
// they have opened before stays open to them.
void close_to_others(int fd);

// For a dispatcher that follows its file.
class KeyFileWatch {
 public:
  explicit KeyFileWatch(std::string path, ProgramNames names = {});

  // Whether the file is another one than at the last read(), or has been written to; true before the first.
  // Costs one look at the file, so it can be asked once a second.
  bool changed() const;
  // As read_key_file. If that throws, changed() stays true: what hinders may be over the next time.
  KeyFile read();

 private:
  // What no change leaves as it was. All zeros for a file that is not there.
  struct Stamp {
    std::uint64_t device = 0, inode = 0, bytes = 0, mode = 0, owner = 0;
    std::int64_t written_ns = 0, changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp stamp() const;

  std::string path_;
  ProgramNames names_;
  Stamp seen_;
  bool read_ = false;
};

}  // namespace workpool::dispatcher
