// SPDX-License-Identifier: MIT
// Asks a running dispatcher over its registration port what it is doing.
#pragma once

#include <string>

#include "common/base/address.h"

namespace workpool::dispatcher {

struct StatusAnswer {
  std::string json;     // empty if none came within 5 s
  std::string problem;  // then: why
};

// `all`: all running jobs, as many as fit; else the longest.
StatusAnswer ask_status(const Address& address, bool all);

}  // namespace workpool::dispatcher
