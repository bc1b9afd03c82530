// SPDX-License-Identifier: MIT
#include "dispatcher/io/net/gatekeeper.h"

#include <netdb.h>
#include <sys/socket.h>

#include <atomic>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "common/base/check.h"
#include "common/io/clock.h"
#include "common/io/handshake_watch.h"
#include "common/io/sockets.h"
#include "common/io/threads.h"
#include "common/io/wall_clock.h"
#include "dispatcher/core/rate_limit.h"
#include "dispatcher/core/zap.h"

namespace workpool::dispatcher {
namespace {

constexpr const char* kZapPlace = "inproc://zeromq.zap.01";
// So many wait to be told; whoever floods us gets no more lines.
constexpr std::size_t kTurnedAwayMost = 64;
// Of one key: a session takes three. A thousand workers may come back at once.
constexpr double kHandshakesAtOnce = 4096;
constexpr double kHandshakesPerSecond = 100;

TurnedAwayFor reason_of(KeyRefusal refusal) {
  switch (refusal) {
    case KeyRefusal::kRevoked:
      return TurnedAwayFor::kRevokedKey;
    case KeyRefusal::kExpired:
      return TurnedAwayFor::kExpiredKey;
    case KeyRefusal::kNotItsLane:
      return TurnedAwayFor::kOtherLane;
    case KeyRefusal::kUnknown:
      break;
  }
  return TurnedAwayFor::kUnknownKey;
}

std::string peer_of(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  char text[NI_MAXHOST];
  const auto* peer = reinterpret_cast<const sockaddr*>(&address);
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  if (::getnameinfo(peer, size, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0) return {};
  return plain_address(text);
}

}  // namespace

struct Gatekeeper::Impl {
  Impl(zmq::context_t& its_context, const Wake& its_wake)
      : context(its_context), loop_wake(its_wake), zap(its_context, zmq::socket_type::rep) {
    zap.set(zmq::sockopt::linger, 0);
    zap.bind(kZapPlace);
  }

  // A socket whose peers we hear of.
  struct Watched {
    HandshakeWatch events;
    std::map<int, std::string> peers;  // of open connections, by descriptor
    std::optional<TurnedAwayFor> failed;
  };

  void serve();
  void answer();
  void hear(Watched& watched);
  void note(TurnedAway&& peer);

  zmq::context_t& context;
  const Wake& loop_wake;
  zmq::socket_t zap;  // the thread's, once that runs
  Wake wake;          // of the thread
  Mailbox<HandshakeWatch> new_watches{wake};
  std::vector<Watched> watched;                                   // the thread's
  RateLimit handshakes{kHandshakesAtOnce, kHandshakesPerSecond};  // the thread's
  std::atomic<bool> stop{false};
  std::thread thread;

  mutable std::mutex mutex;
  KeyRing ring;                         // guarded by mutex
  std::vector<TurnedAway> turned_away;  // guarded by mutex
};

void Gatekeeper::Impl::note(TurnedAway&& peer) {
  const std::lock_guard lock(mutex);
  if (turned_away.size() >= kTurnedAwayMost) return;
  turned_away.push_back(std::move(peer));
  loop_wake.raise();
}

void Gatekeeper::Impl::answer() {
  std::vector<zmq::message_t> frames;
  do {
    if (!zap.recv(frames.emplace_back(), zmq::recv_flags::none)) return;
  } while (frames.back().more());
  std::vector<std::string_view> views;
  views.reserve(frames.size());
  for (const zmq::message_t& frame : frames) views.push_back(frame.to_string_view());
  const auto request = parse_zap_request(views);
  ZapVerdict answer_to = ZapVerdict::kRefused;
  KeyId user;
  if (request) {
    const auto verdict = [&] {
      const std::lock_guard lock(mutex);
      return ring.judge(request->key, request->only, wall_seconds());
    }();
    if (const auto* id = std::get_if<KeyId>(&verdict)) {
      user = *id;
      answer_to = handshakes.admits(user, boot_time()) ? ZapVerdict::kOk : ZapVerdict::kLater;
    } else {
      note({reason_of(std::get<KeyRefusal>(verdict)), request->address, fingerprint(request->key)});
    }
  }
  const auto reply = zap_answer(views.size() > 1 ? views[1] : std::string_view(), answer_to, user);
  for (std::size_t i = 0; i < reply.size(); ++i) {
    zap.send(zmq::buffer(reply[i]), i + 1 < reply.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  }
}

// A peer that fails is disconnected in the same breath, which names its descriptor.
void Gatekeeper::Impl::hear(Watched& source) {
  while (const auto event = source.events.next()) {
    switch (event->what) {
      case Handshake::kAccepted:
        source.peers[event->fd] = peer_of(event->fd);
        break;
      case Handshake::kOtherMechanism:
        source.failed = TurnedAwayFor::kNoKey;
        break;
      case Handshake::kNotReadable:
        source.failed = TurnedAwayFor::kOtherKey;
        break;
      case Handshake::kClosed:
        if (source.failed) note({*source.failed, source.peers[event->fd], {}});
        source.failed.reset();
        source.peers.erase(event->fd);
        break;
      case Handshake::kDone:
      case Handshake::kRefused:
      case Handshake::kBroken:
        break;
    }
  }
}

void Gatekeeper::Impl::serve() {
  while (!stop) {
    std::vector<zmq::pollitem_t> items = {{zap.handle(), 0, ZMQ_POLLIN, 0},
                                          {nullptr, wake.fd(), ZMQ_POLLIN, 0}};
    for (Watched& source : watched) items.push_back({source.events.handle(), 0, ZMQ_POLLIN, 0});
    zmq::poll(items, std::chrono::milliseconds(-1));
    if ((items[0].revents & ZMQ_POLLIN) != 0) answer();
    for (Watched& source : watched) hear(source);
    wake.clear();
    for (HandshakeWatch& added : new_watches.take()) watched.push_back({std::move(added), {}, {}});
  }
}

Gatekeeper::Gatekeeper(zmq::context_t& context, const Wake& wake)
    : impl_(std::make_unique<Impl>(context, wake)) {
  impl_->thread = start_thread([impl = impl_.get()] {
    impl->serve();  // an exception out of it aborts, too
    CHECK(impl->stop);
  });
}

Gatekeeper::~Gatekeeper() {
  impl_->stop = true;
  impl_->wake.raise();
  impl_->thread.join();
}

std::vector<KeyId> Gatekeeper::replace(const std::vector<KnownKey>& keys) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->ring.replace(keys);
}

std::vector<KeyId> Gatekeeper::expire(WallSeconds now) {
  const std::lock_guard lock(impl_->mutex);
  return impl_->ring.expire(now);
}

std::string Gatekeeper::name_of(KeyId id) const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->ring.name_of(id);
}

std::string Gatekeeper::fingerprint_of(KeyId id) const {
  const std::lock_guard lock(impl_->mutex);
  return impl_->ring.fingerprint_of(id);
}

void Gatekeeper::watch(zmq::socket_t& socket) {
  HandshakeWatch events(impl_->context, socket);
  events.forget();
  impl_->new_watches.post(std::move(events));
  impl_->wake.raise();
}

std::vector<TurnedAway> Gatekeeper::turned_away() {
  const std::lock_guard lock(impl_->mutex);
  return std::exchange(impl_->turned_away, {});
}

}  // namespace workpool::dispatcher
