// SPDX-License-Identifier: MIT
#include "dispatcher/io/status/status_client.h"

#include <atomic>
#include <string>

#include "common/io/clock.h"
#include "common/io/handshake_watch.h"
#include "common/io/names.h"
#include "common/io/reach.h"
#include "common/io/sockets.h"
#include "common/wire/codec.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kAnswerLimit = seconds(5);

// The answer's JSON, or "" with the reason in `problem`.
std::string ask(zmq::context_t& context, const std::string& where, const JoinKey* key, bool all, Time end,
                std::string& problem) {
  zmq::socket_t socket = make_dialling_socket(context, zmq::socket_type::dealer);
  if (key != nullptr) secure_client(socket, *key);
  HandshakeWatch handshake(context, socket);
  // An answer may be longer than any other message: it is the only one on this socket.
  socket.set(zmq::sockopt::maxmsgsize, std::int64_t{kMessageBytesMost});
  socket.connect(where);
  std::string frame;
  encode(RegistrationRequest{StatusRequest{kProtocol, all}}, frame);
  send_frame(socket, frame);
  while (boot_time() < end) {
    zmq::pollitem_t items[] = {{socket.handle(), 0, ZMQ_POLLIN, 0}, {handshake.handle(), 0, ZMQ_POLLIN, 0}};
    zmq::poll(items, 2, std::chrono::milliseconds(50));
    while (const auto event = handshake.next()) {
      if (event->what == Handshake::kRefused || event->what == Handshake::kBroken) {
        problem = "the key is not valid there, or for another dispatcher";
        if (key != nullptr) problem += " (key " + fingerprint(key->worker.public_key()) + ")";
        return {};
      }
    }
    zmq::message_t reply;
    if (receive_frame(socket, reply) != Receipt::kFrame) continue;
    const auto decoded = decode_reply(reply.to_string_view());
    if (!decoded) continue;
    if (const auto* status = std::get_if<StatusReply>(&*decoded)) return status->json;
    if (const auto* refused = std::get_if<Refused>(&*decoded)) {
      problem = refused->reason;
      return {};
    }
  }
  if (problem.empty()) problem = "no answer within 5 s (is it a dispatcher?)";
  return {};
}

}  // namespace

StatusAnswer ask_status(const Address& address, bool all, std::shared_ptr<const JoinKey> key) {
  const Time end = boot_time() + kAnswerLimit;
  const std::atomic<bool> never{false};
  zmq::context_t context = make_context(16);
  const Lookup lookup(address.host, address.port);
  const Resolved resolved =
      lookup.wait(end, never).value_or(Resolved{{}, no_answer_for(address.host, kAnswerLimit)});
  StatusAnswer answer;
  answer.problem = resolved.problem;
  for (const std::string& host : resolved.hosts) {
    const auto way = reach(host, address.port, {key, false, true}, kAnswerLimit, kAnswerLimit, end, never);
    if (const auto* unreached = std::get_if<Unreached>(&way)) {
      answer.problem = unreached->problem;
      continue;
    }
    const auto& reached = std::get<Reached>(way);
    answer.json = ask(context, endpoint(reached.where.host, reached.where.port),
                      reached.secured ? key.get() : nullptr, all, end, answer.problem);
    break;
  }
  return answer;
}

}  // namespace workpool::dispatcher
