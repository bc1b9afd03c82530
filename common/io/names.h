// SPDX-License-Identifier: MIT
// Names to addresses, and whether somebody listens there: plain TCP, before a ZeroMQ socket is let near an
// address, since that one tries a single address and reports no reason.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/time.h"

namespace workpool {

struct Resolved {
  std::vector<std::string> hosts;  // literals, in the order in which to try them
  std::string problem;             // why there are none
};

// Blocks as long as the name service does.
Resolved resolve(const std::string& host, std::uint16_t port);
using Resolver = Resolved (*)(const std::string& host, std::uint16_t port);

// A look-up that can be left behind: getaddrinfo has no limit of its own and cannot be broken off, so a name
// is looked up by a thread that nobody has to wait for. A literal is looked up at once, without one.
class Lookup {
 public:
  // Never throws: without a thread the answer says so.
  Lookup(const std::string& host, std::uint16_t port, Resolver resolver = resolve);

  // The answer; nullopt if it has not come by `until`, or `stop` is set. May be asked again.
  std::optional<Resolved> wait(Time until, const std::atomic<bool>& stop) const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;  // also the thread's
};

// What to say of a look-up without an answer, e.g. `the name service has not answered for "host" within 2 s`.
std::string no_answer_for(const std::string& host, Duration waited);

// Connects, waits for the first byte that a ZeroMQ peer sends by itself (rfc.zeromq.org/spec/23, greeting),
// and closes. "" if it came: the connection within `connect_limit`, the byte within `greeting_limit` after
// it, both before `end`. Else the reason. A forwarder that accepts and closes, since nobody is behind it yet,
// is told at once from a dispatcher that is slow to answer. Gives up early when `stop` is set.
std::string try_greeting(const std::string& literal, std::uint16_t port, Duration connect_limit,
                         Duration greeting_limit, Time end, const std::atomic<bool>& stop);

}  // namespace workpool
