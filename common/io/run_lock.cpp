// SPDX-License-Identifier: MIT
#include "common/io/run_lock.h"

#include <fcntl.h>
#include <unistd.h>

namespace workpool {

bool is_used_by_a_run(int fd) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_len = 1;
  return ::fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

}  // namespace workpool
