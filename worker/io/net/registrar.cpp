// SPDX-License-Identifier: MIT
#include "worker/io/net/registrar.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>

#include "common/base/address.h"
#include "common/io/clock.h"
#include "common/io/handshake_watch.h"
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
constexpr int kBrokenMost = 8;                 // within some 2 s

}  // namespace

struct Registrar::Impl {
  using Answer = std::variant<Welcome, Refused, Unanswered, Barred>;

  Impl(zmq::context_t& its_context, Address address, Credentials its_credentials,
       Mailbox<RegistrationAnswer>& to, Resolver its_resolver)
      : context(its_context),
        dispatcher(std::move(address)),
        credentials(std::move(its_credentials)),
        answers(to),
        resolver(its_resolver) {}

  void run();
  RegistrationAnswer try_once(const Hello& hello);
  Answer ask(const Reached& reached, const Hello& hello);
  Answer wait_for_answer(zmq::socket_t& socket, HandshakeWatch& handshake, const Reached& reached,
                         const Hello& hello);
  std::optional<Answer> refusal_in(HandshakeWatch& handshake, const Reached& reached);
  std::string key_name() const { return "key " + fingerprint(credentials.key->worker.public_key()); }

  zmq::context_t& context;
  const Address dispatcher;
  const Credentials credentials;
  Mailbox<RegistrationAnswer>& answers;
  const Resolver resolver;
  std::optional<Lookup> lookup;  // the thread's own
  int broken = 0;                // the thread's own: handshakes in a row that the dispatcher has broken off

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
  std::optional<Barred> barred;
  for (const std::string& host : resolved.hosts) {
    if (stop) break;
    const auto way = reach(host, dispatcher.port, credentials, kConnectLimit, kAnswerLimit, kNever, stop);
    if (const auto* reached = std::get_if<Reached>(&way)) {
      answer.host = reached->where.host;
      answer.secured = reached->secured;
      answer.answer = ask(*reached, hello);
      return answer;
    }
    const auto& unreached = std::get<Unreached>(way);
    const std::string problem = endpoint(host, dispatcher.port) + ": " + unreached.problem;
    if (unreached.what == Hindrance::kKey) barred = Barred{problem};
    may_dial_one |= unreached.what == Hindrance::kNoAnswer;
    reasons += (reasons.empty() ? "" : "; ") + problem;
  }
  if (barred) {
    answer.answer = *barred;
  } else {
    answer.answer = Unanswered{reasons, !may_dial_one};
  }
  return answer;
}

Registrar::Impl::Answer Registrar::Impl::ask(const Reached& reached, const Hello& hello) {
  const std::string where = endpoint(reached.where.host, reached.where.port);
  try {
    zmq::socket_t socket = make_dialling_socket(context, zmq::socket_type::dealer);
    // Without this option the socket is also writable before it is connected and after the connection is
    // gone.
    socket.set(zmq::sockopt::immediate, 1);
    if (reached.secured) secure_client(socket, *credentials.key);
    HandshakeWatch handshake(context, socket);
    socket.connect(where);
    return wait_for_answer(socket, handshake, reached, hello);
  } catch (const zmq::error_t& error) {
    return Unanswered{where + ": " + error.what()};
  }
}

Registrar::Impl::Answer Registrar::Impl::wait_for_answer(zmq::socket_t& socket, HandshakeWatch& handshake,
                                                         const Reached& reached, const Hello& hello) {
  const std::string where = reached.where.text();
  std::string frame;
  encode(RegistrationRequest{hello}, frame);
  const Time end = boot_time() + kAnswerLimit;
  bool said = false;
  while (!stop && boot_time() < end) {
    zmq::pollitem_t items[] = {{socket.handle(), 0, static_cast<short>(said ? ZMQ_POLLIN : ZMQ_POLLOUT), 0},
                               {handshake.handle(), 0, ZMQ_POLLIN, 0}};
    zmq::poll(items, 2, std::chrono::milliseconds(kSlice / milliseconds(1)));
    if (auto refusal = refusal_in(handshake, reached)) return *std::move(refusal);
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
  return Unanswered{where + ": accepted the connection, but gave no answer within 5 s (is it a dispatcher?)"};
}

// A dispatcher whose key is another one closes the connection without a word. So does one that ends, or has
// too many visitors, at that moment; but hardly so often in a row.
std::optional<Registrar::Impl::Answer> Registrar::Impl::refusal_in(HandshakeWatch& handshake,
                                                                   const Reached& reached) {
  while (const auto event = handshake.next()) {
    if (event->what == Handshake::kDone) {
      broken = 0;
      continue;
    }
    if (!reached.secured) continue;
    const std::string where = reached.where.text();
    if (event->what == Handshake::kRefused)
      return Barred{where + ": the dispatcher does not let this worker's " + key_name() +
                    " in: it has been revoked, has expired, or was never known there"};
    if (event->what != Handshake::kBroken && event->what != Handshake::kNotReadable) continue;
    if (++broken < kBrokenMost)
      return Unanswered{where + ": the connection was closed before the keys were exchanged"};
    return Barred{where + ": this worker's key is for another dispatcher, or for an earlier one (" +
                  key_name() + ")"};
  }
  return std::nullopt;
}

Registrar::Registrar(zmq::context_t& context, const Address& dispatcher, Credentials credentials,
                     Mailbox<RegistrationAnswer>& answers, Resolver resolver)
    : impl_(std::make_shared<Impl>(context, dispatcher, std::move(credentials), answers, resolver)) {
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
