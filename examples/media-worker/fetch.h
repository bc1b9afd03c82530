// SPDX-License-Identifier: MIT
// The handler `fetch`: what is at a URL into a file, by libcurl.
#pragma once

#include <workpool/worker.h>

#include "transfers.h"

class Fetches {
 public:
  // args: url, target, headers, max_bytes, follow, silence. Any thread.
  workpool::json fetch(const workpool::Job& job);

 private:
  Transfers& transfers_ = *new Transfers;  // for as long as the process lives
};
