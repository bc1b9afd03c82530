// SPDX-License-Identifier: MIT
// Lets peers in or turns them away. libzmq asks its handler (ZAP) about the key of each peer that wants to
// connect to a secured socket; a thread of its own answers, from the ring of valid keys. libzmq lets
// everybody in if there is no handler, so it must be there before the first secured socket, and the process
// aborts if its thread ends. It also hears of peers that speak without a key, or with one to a run that has
// none.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <zmq.hpp>

#include "common/io/mailbox.h"
#include "dispatcher/core/key_ring.h"

namespace workpool::dispatcher {

class Gatekeeper {
 public:
  // `wake` is raised when somebody has been turned away; it and `context` outlive the gatekeeper. Throws
  // zmq::error_t, and std::system_error if no thread can be started.
  Gatekeeper(zmq::context_t& context, const Wake& wake);
  ~Gatekeeper();
  Gatekeeper(const Gatekeeper&) = delete;
  Gatekeeper& operator=(const Gatekeeper&) = delete;

  // See KeyRing. Any thread.
  std::vector<KeyId> replace(const std::vector<KnownKey>& keys);
  std::vector<KeyId> expire(WallSeconds now);
  std::string name_of(KeyId id) const;
  std::string fingerprint_of(KeyId id) const;  // KeyRing's

  // Listens to what happens to the peers of this socket. Before it is bound, by its own thread, which calls
  // HandshakeWatch::stop before it closes the socket.
  void watch(zmq::socket_t& socket);
  // Since the last call, as many as are worth a line.
  std::vector<TurnedAway> turned_away();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace workpool::dispatcher
