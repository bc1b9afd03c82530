// SPDX-License-Identifier: MIT
// What happens to the connections of a ZeroMQ socket, as libzmq reports it (zmq_socket_monitor). libzmq says
// nothing to a client that it refuses, so this is the only way to know why nothing comes. Made by the thread
// of the socket; then for one thread, which must read it: libzmq's own thread waits for it once 1,000 events
// are unread, and for ever if it is gone while the socket still has events to tell.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <zmq.hpp>

namespace workpool {

enum class Handshake : std::uint8_t {
  kAccepted,        // with the descriptor of the connection
  kDone,            // the peers know and trust each other
  kRefused,         // the handler of the other side does not let our key in
  kOtherMechanism,  // one side has keys, the other has none
  kNotReadable,     // the peer's first message was not meant for our key
  kBroken,          // any other failure
  kClosed           // with the descriptor of the connection
};
struct HandshakeEvent {
  Handshake what = Handshake::kBroken;
  int fd = -1;
};

class HandshakeWatch {
 public:
  // Throws zmq::error_t. `socket` outlives the watch, unless forget() is called.
  HandshakeWatch(zmq::context_t& context, zmq::socket_t& socket);
  ~HandshakeWatch();  // no more events
  HandshakeWatch(HandshakeWatch&& other) noexcept;
  HandshakeWatch& operator=(HandshakeWatch&&) = delete;

  // For a watch that goes to another thread: there will be no more events once the owner of the socket calls
  // stop(), before he closes it.
  void forget() { watched_ = nullptr; }
  static void stop(zmq::socket_t& socket);

  void* handle() { return events_.handle(); }
  // The next event, if there is one.
  std::optional<HandshakeEvent> next();

 private:
  void* watched_;  // the socket; nullptr after forget()
  zmq::socket_t events_;
};

}  // namespace workpool
