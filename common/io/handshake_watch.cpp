// SPDX-License-Identifier: MIT
#include "common/io/handshake_watch.h"

#include <sys/random.h>

#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/base/ids.h"

namespace workpool {
namespace {

constexpr int kEvents = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                        ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                        ZMQ_EVENT_DISCONNECTED;

// Two monitors of one process must not have the same name.
std::string fresh_place() {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number)) std::abort();
  return "inproc://workpool-handshakes-" + hex64(number);
}

std::optional<HandshakeEvent> meaning_of(std::uint16_t event, std::uint32_t value) {
  const int fd = static_cast<int>(value);
  switch (event) {
    case ZMQ_EVENT_ACCEPTED:
      return HandshakeEvent{Handshake::kAccepted, fd};
    case ZMQ_EVENT_DISCONNECTED:
      return HandshakeEvent{Handshake::kClosed, fd};
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
      return HandshakeEvent{Handshake::kDone};
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
      return HandshakeEvent{Handshake::kRefused};
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
      if (value == ZMQ_PROTOCOL_ERROR_ZMTP_MECHANISM_MISMATCH)
        return HandshakeEvent{Handshake::kOtherMechanism};
      if (value == ZMQ_PROTOCOL_ERROR_ZMTP_CRYPTOGRAPHIC) return HandshakeEvent{Handshake::kNotReadable};
      return HandshakeEvent{Handshake::kBroken};
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
      return HandshakeEvent{Handshake::kBroken};
    default:
      return std::nullopt;
  }
}

}  // namespace

HandshakeWatch::HandshakeWatch(zmq::context_t& context, zmq::socket_t& socket)
    : watched_(socket.handle()), events_(context, zmq::socket_type::pair) {
  const std::string place = fresh_place();
  if (zmq_socket_monitor(socket.handle(), place.c_str(), kEvents) != 0) throw zmq::error_t();
  events_.set(zmq::sockopt::linger, 0);
  events_.connect(place);
}

HandshakeWatch::~HandshakeWatch() {
  if (watched_ != nullptr) zmq_socket_monitor(watched_, nullptr, 0);
}

HandshakeWatch::HandshakeWatch(HandshakeWatch&& other) noexcept
    : watched_(std::exchange(other.watched_, nullptr)), events_(std::move(other.events_)) {}

void HandshakeWatch::stop(zmq::socket_t& socket) { zmq_socket_monitor(socket.handle(), nullptr, 0); }

// An event is two frames: its number and value, and the endpoint (zmq_socket_monitor(3)).
std::optional<HandshakeEvent> HandshakeWatch::next() {
  while (true) {
    zmq::message_t frame;
    if (!events_.recv(frame, zmq::recv_flags::dontwait)) return std::nullopt;
    std::uint16_t event = 0;
    std::uint32_t value = 0;
    if (frame.size() == sizeof event + sizeof value) {
      std::memcpy(&event, frame.data(), sizeof event);
      std::memcpy(&value, frame.data<char>() + sizeof event, sizeof value);
    }
    for (bool more = frame.more(); more; more = frame.more()) {
      if (!events_.recv(frame, zmq::recv_flags::dontwait)) break;
    }
    if (const auto meaning = meaning_of(event, value)) return meaning;
  }
}

}  // namespace workpool
