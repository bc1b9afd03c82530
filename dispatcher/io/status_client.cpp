// SPDX-License-Identifier: MIT
#include "dispatcher/io/status_client.h"

#include <unistd.h>

#include <atomic>
#include <string>

#include "common/base/address.h"
#include "common/io/clock.h"
#include "common/io/names.h"
#include "common/io/sockets.h"
#include "common/wire/codec.h"
#include "dispatcher/io/terminal/status_json.h"

namespace workpool::dispatcher {
namespace {

constexpr Duration kAnswerLimit = seconds(5);

// The answer's JSON, or "" with the reason in `problem`.
std::string ask(zmq::context_t& context, const std::string& where, Time end, std::string& problem) {
  zmq::socket_t socket = make_dialling_socket(context, zmq::socket_type::dealer);
  // An answer may be longer than any other message: it is the only one on this socket.
  socket.set(zmq::sockopt::maxmsgsize, std::int64_t{kMessageBytesMost});
  socket.connect(where);
  std::string frame;
  encode(RegistrationRequest{StatusRequest{}}, frame);
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

ExitCode ask_status(const StatusOptions& options, Console& console) {
  const Time end = boot_time() + kAnswerLimit;
  const std::atomic<bool> never{false};
  zmq::context_t context = make_context(16);
  const Lookup lookup(options.address.host, options.address.port);
  const Resolved resolved =
      lookup.wait(end, never).value_or(Resolved{{}, no_answer_for(options.address.host, kAnswerLimit)});
  std::string problem = resolved.problem;
  for (const std::string& host : resolved.hosts) {
    problem = try_greeting(host, options.address.port, kAnswerLimit, kAnswerLimit, end, never);
    if (!problem.empty()) continue;
    const std::string json = ask(context, endpoint(host, options.address.port), end, problem);
    if (json.empty()) break;
    const std::string text = options.json ? json + "\n" : status_text(json).value_or(json + "\n");
    return print_answer(text, console) ? ExitCode::kOk : ExitCode::kResultsFailed;
  }
  console.line("workpool-dispatcher: no dispatcher at " + options.address.text() + ": " + problem);
  return ExitCode::kNotAllOk;
}

}  // namespace workpool::dispatcher
