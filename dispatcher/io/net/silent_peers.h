// SPDX-License-Identifier: MIT
// Closes connections on which the peer says nothing for too long. ZeroMQ keeps a peer forever once it has
// shaken hands, and ZeroMQ's heartbeats would not help: libzmq answers them whatever its program does. So we
// look through the descriptors of this process, ask the kernel when something was last received, and shut a
// silent connection down; libzmq then closes it. For one thread.
#pragma once

#include <dirent.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "common/base/time.h"

namespace workpool::dispatcher {

class SilentPeers {
 public:
  // Connections to a local port, and for how long their peers may be silent.
  struct Watched {
    std::uint16_t port = 0;
    Duration limit{0};
  };
  explicit SilentPeers(std::vector<Watched> ports);

  // Looks at a bounded number of descriptors. Shuts a connection down if two looks at least a second apart
  // find it silent for longer than its limit: if the dispatcher was slow to read, the peer gets that time to
  // send more. Returns how many were shut down.
  std::size_t look(Time now);

 private:
  struct Close {
    void operator()(DIR* folder) const { ::closedir(folder); }
  };
  bool is_silent(int fd) const;

  std::vector<Watched> ports_;
  std::unique_ptr<DIR, Close> descriptors_;  // /proc/self/fd; without it nothing is closed
  std::vector<int> suspects_;                // of the pass before, in order
  std::vector<int> found_;                   // of this pass
  Time pass_began_;
};

}  // namespace workpool::dispatcher
