// SPDX-License-Identifier: MIT
// What becomes of memory that is freed.
#pragma once

#include <malloc.h>

namespace workpool {

// Freed memory stays with the process as long as it is at most 16 MiB at the end of a heap, and blocks below
// 4 MiB are taken from the heaps. By default glibc starts with 128 KiB for both, and only raises them when
// larger blocks are freed, which messages of 60 KiB are not: it gave the memory of the messages of a moment
// back to the kernel and took it again, cleared, for the next. A worker that echoes 1 KiB had one page fault
// for five jobs, and 8 % of its processor time went there. Call it before the first thread is started.
inline void keep_freed_memory() {
  ::mallopt(M_TRIM_THRESHOLD, 16 << 20);
  ::mallopt(M_MMAP_THRESHOLD, 4 << 20);
}

// After a crowd has left: gives back what is free anywhere in the heaps. Takes some milliseconds.
inline void give_back_freed_memory() { ::malloc_trim(0); }

}  // namespace workpool
