// SPDX-License-Identifier: MIT
#include "common/io/random_key.h"

#include <sys/random.h>
#include <sys/types.h>

#include <cerrno>

#include "common/base/check.h"

namespace workpool {

SecretKey make_secret_key() {
  KeyBytes bytes;
  ssize_t count = 0;
  do count = ::getrandom(bytes.data(), bytes.size(), 0);
  while (count < 0 && errno == EINTR);
  CHECK(count == static_cast<ssize_t>(bytes.size()));  // up to 256 bytes come as a whole
  SecretKey key(bytes);
  wipe(bytes);
  return key;
}

}  // namespace workpool
