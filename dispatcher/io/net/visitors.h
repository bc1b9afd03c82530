// SPDX-License-Identifier: MIT
// Closes connections that stay for longer than they have a reason to, or bring too much that nobody wants.
// ZeroMQ keeps a peer for ever once it has shaken hands, and as many as come before they have; its
// heartbeats would not help, since libzmq answers them whatever its program does. So we look through the
// descriptors of this process, ask the kernel about each connection, and shut down those that are too many;
// libzmq then closes them. For one thread.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/base/time.h"

namespace workpool::dispatcher {

// What is asked of the connections to a local port. 0: nothing.
struct PortRules {
  std::uint16_t port = 0;
  Duration silence_most{0};  // for how long a peer may say nothing
  Duration stay_most{0};     // for how long it may stay at all
  // How many may be there that have said less than newcomer_bytes. If there are more, the first ones go.
  std::size_t newcomers_most = 0;
  std::uint64_t newcomer_bytes = 0;
};

class Visitors {
 public:
  // A connection that brings more than this of what nobody wants, within 10 s, is closed. What a worker has
  // sent before it hears that its session is over is less, or the connection is of no use any more.
  static constexpr std::size_t kUnwantedMost = 1000;  // frames
  static constexpr std::size_t kUnwantedBytesMost = 4 << 20;

  explicit Visitors(const std::vector<PortRules>& rules);

  void add(const PortRules& rules) { rules_[rules.port] = rules; }
  void remove(std::uint16_t port) { rules_.erase(port); }

  // Looks at a bounded number of descriptors. Shuts a connection down for its silence only if two looks at
  // least a second apart find it silent: if the dispatcher was slow to read, the peer gets that time to send
  // more. Returns how many were shut down.
  std::size_t look(Time now);
  // How many connections to these ports there were at the last looks.
  std::size_t present() const { return visitors_.size(); }
  // Something of that size has come on this connection that nobody wants. A descriptor that is not of a port
  // with rules is ignored. Returns whether the connection was closed.
  bool unwanted(int fd, std::size_t bytes, Time now);

 private:
  struct Close {
    void operator()(DIR* folder) const { ::closedir(folder); }
  };
  // A connection, from when it was first seen. A descriptor may be another connection's at the next look.
  struct Visitor {
    std::uint64_t peer = 0;
    std::uint16_t port = 0;  // ours
    Time since;
    std::uint64_t pass = 0;  // when it was last seen
    bool was_silent = false;
    bool is_newcomer = false;
  };
  // What has come of it for nothing, since then.
  struct Nuisance {
    std::optional<std::uint64_t> peer;  // nullopt: not of a port with rules, or closed
    Time since;
    std::size_t frames = 0;
    std::size_t bytes = 0;
  };
  std::optional<std::uint64_t> peer_of(int fd) const;
  bool look_at(int fd, Time now);
  bool shut_down(int fd) const;
  std::size_t end_pass(Time now);

  std::unordered_map<std::uint16_t, PortRules> rules_;
  std::unique_ptr<DIR, Close> descriptors_;  // /proc/self/fd; without it nothing is closed
  std::map<int, Visitor> visitors_;
  std::map<int, Nuisance> nuisances_;
  Time pass_began_;
  std::uint64_t pass_ = 1;
};

}  // namespace workpool::dispatcher
