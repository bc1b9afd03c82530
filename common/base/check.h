// SPDX-License-Identifier: MIT
// CHECK(condition): for our own invariants, also in release builds. If the condition is false, it prints the
// place and aborts; the same command resumes the run. Never used on input from outside.
#pragma once

#include <cstdio>
#include <cstdlib>

#define CHECK(condition)                                                                                 \
  do {                                                                                                   \
    if (!(condition)) {                                                                                  \
      std::fprintf(stderr, "workpool: broken invariant at %s:%d: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                                      \
    }                                                                                                    \
  } while (false)
