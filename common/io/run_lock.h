// SPDX-License-Identifier: MIT
// A run keeps the first byte of its results file locked, and of its jobs file for reading, so that others can
// see that they are in use.
#pragma once

namespace workpool {

// Whether another open description has it locked. False if the file system knows no locks.
bool is_used_by_a_run(int fd);

}  // namespace workpool
