// SPDX-License-Identifier: MIT
#include "worker/io/net/registrar.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "common/base/address.h"
#include "common/io/clock.h"
#include "common/io/sockets.h"
#include "common/io/threads.h"
#include "common/wire/codec.h"

namespace workpool::worker {
namespace {

// A try ends after waiting this long for the name service, so that the wait is reported and --orphan-grace
// holds. The next try waits for the same answer.
constexpr Duration kLookupLimit = seconds(2);
constexpr Duration kConnectLimit = seconds(3);  // per address
constexpr Duration kAnswerLimit = seconds(5);
constexpr Duration kSlice = milliseconds(50);  // how fast a stop is noticed

}  // namespace

struct Registrar::Impl {
  Impl(zmq::context_t& its_context, Address address, bool may_dial_anyone, Mailbox<RegistrationAnswer>& to,
       Resolver its_resolver)
      : context(its_context),
        dispatcher(std::move(address)),
        insecure(may_dial_anyone),
        answers(to),
        resolver(its_resolver) {}

  void run();
  RegistrationAnswer try_once(const Hello& hello);
  std::variant<Welcome, Refused, Unanswered> ask(const std::string& host, const Hello& hello);

  zmq::context_t& context;
  const Address dispatcher;
  const bool insecure;
  Mailbox<RegistrationAnswer>& answers;
  const Resolver resolver;
  std::optional<Lookup> lookup;  // the thread's own

  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Hello> wanted;  // guarded by mutex
  bool done = false;            // guarded by mutex: the thread has left
  std::atomic<bool> stop{false};
};

void Registrar::Impl::run() {
  std::unique_lock lock(mutex);
  while (true) {
    changed.wait(lock, [this] { return wanted || stop; });
    if (stop) break;
    const Hello hello = *std::exchange(wanted, std::nullopt);
    lock.unlock();
    RegistrationAnswer answer = try_once(hello);
    lock.lock();
    if (stop) break;
    answers.post(std::move(answer));
  }
  done = true;
  changed.notify_all();
}

RegistrationAnswer Registrar::Impl::try_once(const Hello& hello) {
  RegistrationAnswer answer;
  answer.try_number = hello.try_number;
  if (!lookup) lookup.emplace(dispatcher.host, dispatcher.port, resolver);
  const std::optional<Resolved> found = lookup->wait(boot_time() + kLookupLimit, stop);
  if (!found) {
    answer.answer = Unanswered{no_answer_for(dispatcher.host, kLookupLimit)};
    return answer;
  }
  lookup.reset();
  const Resolved& resolved = *found;
  std::string reasons = resolved.problem;
  bool may_dial_one = resolved.hosts.empty();
  for (const std::string& host : resolved.hosts) {
    if (stop) break;
    if (const std::string refusal = refusal_to_dial(host, insecure); !refusal.empty()) {
      reasons += (reasons.empty() ? "" : "; ") + refusal;
      continue;
    }
    may_dial_one = true;
    const std::string problem =
        try_greeting(host, dispatcher.port, kConnectLimit, kAnswerLimit, kNever, stop);
    if (problem.empty()) {
      answer.host = host;
      answer.answer = ask(host, hello);
      return answer;
    }
    reasons += (reasons.empty() ? "" : "; ") + endpoint(host, dispatcher.port) + ": " + problem;
  }
  answer.answer = Unanswered{reasons, !may_dial_one};
  return answer;
}

std::variant<Welcome, Refused, Unanswered> Registrar::Impl::ask(const std::string& host, const Hello& hello) {
  const std::string where = endpoint(host, dispatcher.port);
  try {
    zmq::socket_t socket = make_dialling_socket(context, zmq::socket_type::dealer);
    // Without this option the socket is also writable before it is connected and after the connection is
    // gone.
    socket.set(zmq::sockopt::immediate, 1);
    socket.connect(where);
    std::string frame;
    encode(RegistrationRequest{hello}, frame);
    const Time end = boot_time() + kAnswerLimit;
    bool said = false;
    while (!stop && boot_time() < end) {
      zmq::pollitem_t item{socket.handle(), 0, static_cast<short>(said ? ZMQ_POLLIN : ZMQ_POLLOUT), 0};
      zmq::poll(&item, 1, std::chrono::milliseconds(kSlice / milliseconds(1)));
      if (!said) {
        said = send_frame(socket, frame);
        continue;
      }
      zmq::message_t reply;
      if (receive_frame(socket, reply) == Receipt::kFrame) {
        const auto decoded = decode_reply(reply.to_string_view());
        if (!decoded) return Unanswered{where + ": what listens there is not a workpool dispatcher"};
        if (const auto* welcome = std::get_if<Welcome>(&*decoded)) {
          if (welcome->protocol != kProtocol) {
            return Refused{welcome->protocol, Refusal::kWrongProtocol,
                           "the dispatcher speaks protocol " + std::to_string(welcome->protocol) +
                               ", this worker " + std::to_string(kProtocol)};
          }
          return *welcome;
        }
        if (const auto* refused = std::get_if<Refused>(&*decoded)) return *refused;
      }
      if (!writable(socket)) return Unanswered{where + ": the connection was closed without an answer"};
    }
    return Unanswered{where +
                      ": accepted the connection, but gave no answer within 5 s (is it a dispatcher?)"};
  } catch (const zmq::error_t& error) {
    return Unanswered{where + ": " + error.what()};
  }
}

Registrar::Registrar(zmq::context_t& context, const Address& dispatcher, bool insecure,
                     Mailbox<RegistrationAnswer>& answers, Resolver resolver)
    : impl_(std::make_shared<Impl>(context, dispatcher, insecure, answers, resolver)) {
  start_thread([impl = impl_] { impl->run(); }).detach();
}

Registrar::~Registrar() {
  impl_->stop = true;
  std::unique_lock lock(impl_->mutex);
  impl_->changed.notify_all();
  impl_->changed.wait_for(lock, std::chrono::milliseconds(200), [this] { return impl_->done; });
}

void Registrar::register_with(const Hello& hello) {
  const std::lock_guard lock(impl_->mutex);
  impl_->wanted = hello;
  impl_->changed.notify_all();
}

}  // namespace workpool::worker
