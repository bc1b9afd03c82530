// SPDX-License-Identifier: MIT
// CHECK(condition): our own invariants, also in release builds. A false one prints the place and aborts;
// a restart resumes. Never used on input from outside.
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
