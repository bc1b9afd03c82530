// SPDX-License-Identifier: MIT
// The version of these headers. A program needs a library of the same major and minor number: until 1.0 the
// minor number rises with each change that an old program would not survive.
#pragma once

#define WORKPOOL_API __attribute__((visibility("default")))

namespace workpool {

inline constexpr int kVersionMajor = 0;
inline constexpr int kVersionMinor = 1;
inline constexpr int kVersionPatch = 0;

}  // namespace workpool

// Ends the program with exit code 71 and a line that says what to do if the library is of another version.
// The one function whose name and arguments never change.
extern "C" WORKPOOL_API void workpool_worker_needs(int major, int minor);
