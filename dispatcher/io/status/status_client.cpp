// SPDX-License-Identifier: MIT
#include "dispatcher/io/status/status_client.h"

#include <atomic>
#include <string>

#include "common/io/clock.h"
#include "common/io/names.h"
#include "common/io/sockets.h"
#include "common/wire/codec.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kAnswerLimit = seconds(5);

// The answer's JSON, or "" with the reason in `problem`.
std::string ask(zmq::context_t& context, const std::string& where, bool all, Time end, std::string& problem) {
  zmq::socket_t socket = make_dialling_socket(context, zmq::socket_type::dealer);
  // An answer may be longer than any other message: it is the only one on this socket.
  socket.set(zmq::sockopt::maxmsgsize, std::int64_t{kMessageBytesMost});
  socket.connect(where);
  std::string frame;
  encode(RegistrationRequest{StatusRequest{kProtocol, all}}, frame);
  send_frame(socket, frame);
  while (boot_time() < end) {
    zmq::pollitem_t item{socket.handle(), 0, ZMQ_POLLIN, 0};
    zmq::poll(&item, 1, std::chrono::milliseconds(50));
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

StatusAnswer ask_status(const Address& address, bool all) {
  const Time end = boot_time() + kAnswerLimit;
  const std::atomic<bool> never{false};
  zmq::context_t context = make_context(16);
  const Lookup lookup(address.host, address.port);
  const Resolved resolved =
      lookup.wait(end, never).value_or(Resolved{{}, no_answer_for(address.host, kAnswerLimit)});
  StatusAnswer answer;
  answer.problem = resolved.problem;
  for (const std::string& host : resolved.hosts) {
    answer.problem = try_greeting(host, address.port, kAnswerLimit, kAnswerLimit, end, never);
    if (!answer.problem.empty()) continue;
    answer.json = ask(context, endpoint(host, address.port), all, end, answer.problem);
    break;
  }
  return answer;
}

}  // namespace workpool::dispatcher
