// SPDX-License-Identifier: MIT
// Whether a ZeroMQ peer listens somewhere, and of which kind. A plain socket asks before any ZeroMQ socket
// connects, since such a socket tries a single address and reports no reason.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "common/base/time.h"

namespace workpool {

// What a ZeroMQ peer sends by itself when somebody connects (rfc.zeromq.org/spec/23, "greeting").
struct Greeting {
  std::string problem;    // why there is none
  std::string mechanism;  // of its security: "NULL", "CURVE"
};

// Connects, greets, waits for the peer's greeting, and closes. `literal`: an address or a folder. The
// connection may take `connect_limit`, the greeting `greeting_limit` after it; both must come before `end`.
// So a forwarder that accepts and closes, because nothing is behind it yet, is quickly told from a dispatcher
// that is slow to answer. If the peer's mechanism is not `mechanism`, it is told ours, so that it can say who
// was turned away. Gives up early when `stop` is set.
Greeting greeting(const std::string& literal, std::uint16_t port, const std::string& mechanism,
                  Duration connect_limit, Duration greeting_limit, Time end, const std::atomic<bool>& stop);

}  // namespace workpool
