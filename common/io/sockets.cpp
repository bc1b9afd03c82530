// SPDX-License-Identifier: MIT
#include "common/io/sockets.h"

#include "common/wire/codec.h"

namespace workpool {

zmq::context_t make_context(int sockets) {
  zmq::context_t context(1);
  context.set(zmq::ctxopt::max_sockets, sockets);
  context.set(zmq::ctxopt::blocky, 0);
  return context;
}

zmq::socket_t make_socket(zmq::context_t& context, zmq::socket_type type) {
  zmq::socket_t socket(context, type);
  socket.set(zmq::sockopt::linger, 0);
  socket.set(zmq::sockopt::maxmsgsize, std::int64_t{kFrameBytesMost});
  socket.set(zmq::sockopt::handshake_ivl, 5000);
  socket.set(zmq::sockopt::backlog, 4096);
  socket.set(zmq::sockopt::ipv6, 1);
  // Only cleans up half-open connections; our own heartbeats judge who is alive.
  socket.set(zmq::sockopt::tcp_keepalive, 1);
  socket.set(zmq::sockopt::tcp_keepalive_idle, 30);
  socket.set(zmq::sockopt::tcp_keepalive_intvl, 10);
  socket.set(zmq::sockopt::tcp_keepalive_cnt, 3);
  socket.set(zmq::sockopt::sndhwm, kHighWaterMark);
  socket.set(zmq::sockopt::rcvhwm, kHighWaterMark);
  return socket;
}

zmq::socket_t make_dialling_socket(zmq::context_t& context, zmq::socket_type type) {
  zmq::socket_t socket = make_socket(context, type);
  // A socket that reconnects by itself would one day dial another worker's lane on a port that was reused.
  socket.set(zmq::sockopt::reconnect_ivl, -1);
  if (type == zmq::socket_type::push) socket.set(zmq::sockopt::immediate, 1);
  return socket;
}

namespace {

template <class Value>
void set_bytes(zmq::socket_t& socket, int option, const Value& value) {
  if (zmq_setsockopt(socket.handle(), option, value.data(), value.size()) != 0) throw zmq::error_t();
}

}  // namespace

void secure_server(zmq::socket_t& socket, const SecretKey& key, const std::string& domain) {
  socket.set(zmq::sockopt::curve_server, true);
  set_bytes(socket, ZMQ_CURVE_SECRETKEY, key.bytes());
  // Without a domain libzmq would ask nobody and let everybody in.
  set_bytes(socket, ZMQ_ZAP_DOMAIN, domain);
}

void secure_client(zmq::socket_t& socket, const JoinKey& key) {
  set_bytes(socket, ZMQ_CURVE_SERVERKEY, key.dispatcher.bytes);
  set_bytes(socket, ZMQ_CURVE_PUBLICKEY, key.worker.public_key().bytes);
  set_bytes(socket, ZMQ_CURVE_SECRETKEY, key.worker.bytes());
}

bool writable(zmq::socket_t& socket) { return (socket.get(zmq::sockopt::events) & ZMQ_POLLOUT) != 0; }

bool send_frame(zmq::socket_t& socket, std::string_view frame, bool more) {
  const auto flags = more ? zmq::send_flags::dontwait | zmq::send_flags::sndmore : zmq::send_flags::dontwait;
  return socket.send(zmq::buffer(frame.data(), frame.size()), flags).has_value();
}

Receipt receive_frame(zmq::socket_t& socket, zmq::message_t& frame) {
  if (!socket.recv(frame, zmq::recv_flags::dontwait)) return Receipt::kNone;
  if (!frame.more()) return Receipt::kFrame;
  zmq::message_t rest;
  do {
    if (!socket.recv(rest, zmq::recv_flags::dontwait)) break;
  } while (rest.more());
  return Receipt::kTooMany;
}

}  // namespace workpool
