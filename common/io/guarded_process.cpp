// SPDX-License-Identifier: MIT
#include "common/io/guarded_process.h"

#include <sys/prctl.h>

namespace workpool {

rlimit protect_process() {
#ifndef __SANITIZE_ADDRESS__  // which looks into its own process for leaks, and must be able to
  ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
  // A process that is not dumpable leaves no core dump. The limit says so where people and tools look, and
  // holds if a kernel or a container does otherwise.
  rlimit original{};
  if (::getrlimit(RLIMIT_CORE, &original) != 0) return {};
  const rlimit none{0, original.rlim_max};
  ::setrlimit(RLIMIT_CORE, &none);
  return original;
}

}  // namespace workpool
