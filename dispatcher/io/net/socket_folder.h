// SPDX-License-Identifier: MIT
// The folder of the Unix sockets by which programs of this user on this machine reach a run: mode 0700, so
// the kernel keeps other users out and nothing needs to be encrypted.
//
//   $TMPDIR/workpool-a1B2c3, else in /tmp, /dev/shm, /var/tmp or $XDG_RUNTIME_DIR
//     lock           locked (flock) while the dispatcher lives
//     0, 1, 2, ...   registration, sink, lanes
#pragma once

#include <string>

#include "common/io/descriptor.h"

namespace workpool::dispatcher {

class SocketFolder {
 public:
  // Makes a new one, and removes those that killed runs of this user have left at the same place. Throws
  // std::system_error, with what to do, if there is no place for it.
  SocketFolder();
  ~SocketFolder();  // removes it
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;

  // Absolute, UTF-8, at most kFolderBytesMost (common/base/address.h).
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  Descriptor lock_;
};

}  // namespace workpool::dispatcher
