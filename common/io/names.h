// SPDX-License-Identifier: MIT
// Finds the addresses of a name.
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

// A look-up that can be abandoned. getaddrinfo has no time limit and cannot be interrupted, so a detached
// thread looks the name up. A literal is looked up at once, without a thread.
class Lookup {
 public:
  // If no thread can be started, the answer says so.
  Lookup(const std::string& host, std::uint16_t port, Resolver resolver = resolve);

  // The answer; nullopt if it has not come by `until`, or `stop` is set. May be called again.
  std::optional<Resolved> wait(Time until, const std::atomic<bool>& stop) const;

 private:
  struct Shared;
  std::shared_ptr<Shared> shared_;  // also the thread's
};

// The message for a look-up without an answer: `the name service has not answered for "host" within 2 s`.
std::string no_answer_for(const std::string& host, Duration waited);

// "2 s": rounded to the nearest second, but at least 1.
std::string whole_seconds(Duration waited);

}  // namespace workpool
