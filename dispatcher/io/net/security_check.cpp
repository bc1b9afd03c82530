// SPDX-License-Identifier: MIT
#include "dispatcher/io/net/security_check.h"

#include <optional>

#include "common/base/time.h"
#include "common/io/clock.h"
#include "common/io/handshake_watch.h"
#include "common/io/random_key.h"
#include "common/io/sockets.h"
#include "dispatcher/core/zap.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kLimit = seconds(5);

// How the handshake of a client with this key ends; nullopt if it does not within the limit.
std::optional<Handshake> handshake_with(zmq::context_t& context, const std::string& where,
                                        const PublicKey& server, const SecretKey& key) {
  zmq::socket_t client = make_dialling_socket(context, zmq::socket_type::dealer);
  secure_client(client, {server, key.copy()});
  HandshakeWatch events(context, client);
  client.connect(where);
  const Time end = boot_time() + kLimit;
  while (boot_time() < end) {
    zmq::pollitem_t item{events.handle(), 0, ZMQ_POLLIN, 0};
    zmq::poll(&item, 1, std::chrono::milliseconds(50));
    while (const auto event = events.next()) {
      if (event->what != Handshake::kAccepted) return event->what;
    }
  }
  return std::nullopt;
}

}  // namespace

std::string wrong_with_security(zmq::context_t& context, const std::string& folder, const SecretKey& server,
                                const SecretKey& known) try {
  if (zmq_has("curve") == 0) return "this libzmq is built without CURVE";
  zmq::socket_t socket = make_socket(context, zmq::socket_type::router);
  secure_server(socket, server, zap_domain(KeyId{}));
  const std::string where = "ipc://" + folder + "/check";
  socket.bind(where);
  const PublicKey server_key = server.public_key();
  if (handshake_with(context, where, server_key, make_secret_key()) != Handshake::kRefused)
    return "a key that nobody knows is not refused";
  if (handshake_with(context, where, server_key, known) != Handshake::kDone)
    return "a key that is known is not let in";
  return "";
} catch (const zmq::error_t& error) {
  return error.what();
}

}  // namespace workpool::dispatcher
