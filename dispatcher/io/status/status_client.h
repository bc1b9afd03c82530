// SPDX-License-Identifier: MIT
// Asks a running dispatcher over its registration port what it is doing.
#pragma once

#include <memory>
#include <string>

#include "common/base/address.h"
#include "common/base/keys.h"

namespace workpool::dispatcher {

struct StatusAnswer {
  std::string json;     // empty if none came within 5 s
  std::string problem;  // then: why
};

// `all`: all running jobs, as many as fit; else the longest. `key`: null if there is none; a run of this user
// on this machine, and one that runs with --insecure, need none.
StatusAnswer ask_status(const Address& address, bool all, std::shared_ptr<const JoinKey> key = nullptr);

}  // namespace workpool::dispatcher
