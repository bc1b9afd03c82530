// SPDX-License-Identifier: MIT
// New keys, from the randomness of the kernel.
#pragma once

#include "common/base/keys.h"

namespace workpool {

// Waits, at the start of a machine, until the kernel has randomness. Aborts if it has none to give.
SecretKey make_secret_key();

}  // namespace workpool
