// SPDX-License-Identifier: MIT
// Names to addresses, and whether somebody listens there: plain TCP, before a ZeroMQ socket is let near an
// address, since that one tries a single address and reports no reason.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "common/time.h"

namespace workpool {

struct Resolved {
  std::vector<std::string> hosts;  // literals, in the order in which to try them
  std::string problem;             // why there are none
};

// Blocks as long as the name service does.
Resolved resolve(const std::string& host, std::uint16_t port);

// Connects and closes. "" where it was accepted within `limit`, else the reason. Gives up early when `stop`
// is set.
std::string try_connect(const std::string& literal, std::uint16_t port, Duration limit,
                        const std::atomic<bool>& stop);

}  // namespace workpool
