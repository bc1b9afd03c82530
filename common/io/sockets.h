// SPDX-License-Identifier: MIT
// ZeroMQ sockets with the options that every socket of ours has (docs/design.md, "Sockets"), set
// before any bind or connect. A socket is used by the thread that made it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <zmq.hpp>

#include "common/base/keys.h"

namespace workpool {

// How many messages a socket holds in each direction. Never reached: credit and result window run out long
// before.
inline constexpr int kHighWaterMark = 4096;

// One per process, with one I/O thread and room for `sockets` sockets. The caller provides the descriptors.
zmq::context_t make_context(int sockets);

// LINGER 0, MAXMSGSIZE 128 KiB, HANDSHAKE_IVL 5 s, BACKLOG 4096, IPv6, TCP keepalive, ZMTP heartbeats off.
zmq::socket_t make_socket(zmq::context_t& context, zmq::socket_type type);
// The same for a socket that dials; it never reconnects by itself.
zmq::socket_t make_dialling_socket(zmq::context_t& context, zmq::socket_type type);

// Encrypts everything on the socket, and lets in only peers for whom the ZAP handler of `context` answers
// that they may, which it is asked with `domain`. Before the first bind.
void secure_server(zmq::socket_t& socket, const SecretKey& key, const std::string& domain);
// The other side: talks to nobody but the dispatcher of this key. Before the first connect.
void secure_client(zmq::socket_t& socket, const JoinKey& key);

// Whether a send would be taken now.
bool writable(zmq::socket_t& socket);

// Sends one frame; false if the socket does not take it (EAGAIN). Throws zmq::error_t on anything else.
bool send_frame(zmq::socket_t& socket, std::string_view frame, bool more = false);

// Receives one whole message into `frame`. kTooMany: it had more than one frame and was dropped.
enum class Receipt : std::uint8_t { kNone, kFrame, kTooMany };
Receipt receive_frame(zmq::socket_t& socket, zmq::message_t& frame);

}  // namespace workpool
