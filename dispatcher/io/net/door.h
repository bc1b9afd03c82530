// SPDX-License-Identifier: MIT
// One way into a run: a registration socket (ROUTER), a sink (PULL), and the lanes (PUSH) of the workers that
// came this way. A door is either in a folder of Unix sockets, for programs of this user on this machine, or
// on TCP ports, for everybody who has a key. For the loop's thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <zmq.hpp>

#include "common/base/keys.h"
#include "dispatcher/core/key_id.h"
#include "dispatcher/io/net/gatekeeper.h"

namespace workpool::dispatcher {

// Thrown if registration or sink cannot be bound. The message is one line that names the address and says
// what to do (exit 71).
struct BindError {
  std::string message;
};

struct DoorOptions {
  std::string host = "127.0.0.1";  // a literal, `*`, or a folder
  std::uint16_t port = 0;          // of registration; 0 = any
  std::uint16_t ports_low = 0;     // for sink and lanes; 0 = any
  std::uint16_t ports_high = 0;
  // Both null: whoever reaches the door may come in, as in a folder. Without a key, but with a gatekeeper:
  // everybody may, and the gatekeeper hears of peers that have keys. Both outlive the door.
  const SecretKey* key = nullptr;
  Gatekeeper* gatekeeper = nullptr;
};

// Whether a socket can be made and bound. If libzmq lacks a descriptor to make it, that fails; if it lacks
// one to look at the interfaces for the bind, libzmq aborts. We want some to spare, since strangers may take
// descriptors in the meantime.
bool has_spare_descriptors();

class Door {
 public:
  // Throws BindError.
  Door(zmq::context_t& context, const DoorOptions& options);
  ~Door();
  Door(const Door&) = delete;
  Door& operator=(const Door&) = delete;

  const std::string& host() const { return options_.host; }
  bool has_keys() const { return options_.key != nullptr; }
  std::uint16_t port() const { return port_; }
  std::uint16_t sink_port() const { return sink_port_; }
  zmq::socket_t& registration() { return registration_; }
  zmq::socket_t& sink() { return sink_; }

  struct Lane {
    zmq::socket_t socket;
    std::uint16_t port = 0;
  };
  // `only`: the key of its worker. `frames_most`: what it holds for a worker that does not read. Returns
  // nullopt if no port or no descriptor is free.
  std::optional<Lane> open_lane(KeyId only, int frames_most);
  // The key of the peer that has sent the frame; KeyId{0} if none is asked for. nullopt if there must be one
  // and is not.
  std::optional<KeyId> key_of(zmq::message_t& frame) const;

 private:
  void secure(zmq::socket_t& socket, KeyId only);
  void bind_registration();
  bool bind_some(zmq::socket_t& socket, std::uint16_t& port);
  // Where the next try to bind goes.
  std::string next_place();

  zmq::context_t& context_;
  DoorOptions options_;
  zmq::socket_t registration_;
  zmq::socket_t sink_;
  std::uint16_t port_ = 0;
  std::uint16_t sink_port_ = 0;
  std::uint16_t next_port_;  // next of the range, in turn, so that a port just closed rests longest
};

}  // namespace workpool::dispatcher
