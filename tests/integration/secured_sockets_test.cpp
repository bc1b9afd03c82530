// SPDX-License-Identifier: MIT
// Who gets through the secured sockets of a dispatcher, and who does not.
#include <stdlib.h>

#include <filesystem>

#include "common/io/handshake_watch.h"
#include "common/io/random_key.h"
#include "dispatcher/core/zap.h"
#include "dispatcher/io/net/gatekeeper.h"
#include "dispatcher/io/net/security_check.h"
#include "tests/integration/sockets_fixture.h"

namespace workpool {
namespace {

using dispatcher::Gatekeeper;
using dispatcher::KeyId;
using dispatcher::TurnedAwayFor;

class SecuredSockets : public testing::Test {
 protected:
  SecuredSockets() {
    gatekeeper.replace({{worker.public_key(), "w", {}}, {other.public_key(), "other", {}}});
    dispatcher::TransportOptions options;
    options.doors.push_back({.host = "127.0.0.1", .key = &server, .gatekeeper = &gatekeeper});
    transport.emplace(context, options);
    char made[] = "/tmp/workpool-test-XXXXXX";
    folder = ::mkdtemp(made);
  }
  ~SecuredSockets() override { std::filesystem::remove_all(folder); }

  std::shared_ptr<const JoinKey> join_key(const SecretKey& secret) const {
    return std::make_shared<const JoinKey>(JoinKey{server.public_key(), secret.copy()});
  }
  // The answer to a worker with this key; nobody answers its HELLO.
  worker::RegistrationAnswer ask(std::shared_ptr<const JoinKey> key, bool open = false) {
    Wake wake;
    Mailbox<worker::RegistrationAnswer> box{wake};
    worker::Registrar registrar(context, Address{"127.0.0.1", transport->door(0).port()}, {key, open}, box);
    std::optional<worker::RegistrationAnswer> answer;
    for (std::uint32_t i = 1; i <= 10 && !answer; ++i) {
      Hello hello;
      hello.worker = {5};
      hello.engine = 1;
      hello.try_number = i;
      hello.name = "w";
      hello.slots = 2;
      registrar.register_with(hello);
      std::vector<worker::RegistrationAnswer> answers;
      wait_until([&] {
        answers = box.take();
        transport->receive_registration(10, hellos, asked);
        return !answers.empty() || !hellos.empty();
      });
      if (answers.empty()) break;
      if (!std::holds_alternative<worker::Unanswered>(answers[0].answer)) answer = answers[0];
    }
    return answer.value_or(worker::RegistrationAnswer{});
  }
  std::string barred(const worker::RegistrationAnswer& answer) const {
    const auto* found = std::get_if<worker::Barred>(&answer.answer);
    return found != nullptr ? found->reason : "let in, or not yet answered";
  }
  std::vector<dispatcher::TurnedAway> turned_away() {
    std::vector<dispatcher::TurnedAway> all;
    wait_until([&] {
      all = gatekeeper.turned_away();
      return !all.empty();
    });
    return all;
  }
  // How the handshake of such a socket ends; kAccepted if it does not.
  Handshake handshake(zmq::socket_type type, std::uint16_t port, const JoinKey* key) {
    zmq::socket_t socket = make_dialling_socket(context, type);
    if (key != nullptr) secure_client(socket, *key);
    HandshakeWatch events(context, socket);
    socket.connect(endpoint("127.0.0.1", port));
    Handshake how = Handshake::kAccepted;
    wait_until([&] {
      while (const auto event = events.next()) {
        if (how == Handshake::kAccepted) how = event->what;
      }
      return how != Handshake::kAccepted;
    });
    return how;
  }

  Wake wake;
  zmq::context_t context = make_context(256);
  const SecretKey server = make_secret_key();
  const SecretKey worker = make_secret_key();
  const SecretKey other = make_secret_key();
  Gatekeeper gatekeeper{context, wake};
  std::optional<dispatcher::Transport> transport;
  std::string folder;
  std::vector<dispatcher::HelloReceived> hellos;
  std::vector<dispatcher::StatusAsked> asked;
};

TEST_F(SecuredSockets, AKnownKeyComesInAndIsNamedByItsNumber) {
  ask(join_key(worker));
  ASSERT_EQ(hellos.size(), 1u);
  EXPECT_EQ(gatekeeper.name_of(hellos[0].key), "w");
}

TEST_F(SecuredSockets, AnUnknownKeyIsTurnedAwayAndBothSidesSayIt) {
  const SecretKey stranger = make_secret_key();
  const std::string print = fingerprint(stranger.public_key());
  const std::string reason = barred(ask(join_key(stranger)));
  EXPECT_NE(reason.find(print), std::string::npos) << reason;
  const auto all = turned_away();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all[0].why, TurnedAwayFor::kUnknownKey);
  EXPECT_EQ(all[0].fingerprint, print);
  EXPECT_EQ(all[0].address, "127.0.0.1");
  EXPECT_TRUE(hellos.empty());
}

TEST_F(SecuredSockets, ARevokedKeyIsTurnedAway) {
  gatekeeper.replace({{other.public_key(), "other", {}}});
  EXPECT_NE(barred(ask(join_key(worker))).find("revoked"), std::string::npos);
  EXPECT_EQ(turned_away().at(0).why, TurnedAwayFor::kRevokedKey);
}

TEST_F(SecuredSockets, AKeyForAnotherDispatcherIsTurnedAway) {
  const auto foreign =
      std::make_shared<const JoinKey>(JoinKey{make_secret_key().public_key(), worker.copy()});
  EXPECT_NE(barred(ask(foreign)).find("another dispatcher"), std::string::npos);
  EXPECT_EQ(turned_away().at(0).why, TurnedAwayFor::kOtherKey);
  EXPECT_TRUE(hellos.empty());
}

TEST_F(SecuredSockets, AWorkerWithoutAKeyIsToldThatItNeedsOne) {
  EXPECT_NE(barred(ask(nullptr, true)).find("WORKPOOL_KEY"), std::string::npos);
  const auto all = turned_away();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all[0].why, TurnedAwayFor::kNoKey);
  // Known only if the gatekeeper comes to it before the peer has gone.
  EXPECT_TRUE(all[0].address == "127.0.0.1" || all[0].address.empty()) << all[0].address;
}

TEST_F(SecuredSockets, AWorkerWithAKeyDoesNotTalkToAnOpenDispatcher) {
  transport.reset();
  dispatcher::TransportOptions options;
  options.doors.push_back({.host = "127.0.0.1", .gatekeeper = &gatekeeper});
  transport.emplace(context, options);
  EXPECT_NE(barred(ask(join_key(worker))).find("--insecure"), std::string::npos);
  EXPECT_TRUE(hellos.empty());
  EXPECT_EQ(turned_away().at(0).why, TurnedAwayFor::kNoKey);
}

TEST_F(SecuredSockets, ALaneIsForTheKeyOfItsSession) {
  ask(join_key(worker));
  ASSERT_EQ(hellos.size(), 1u);
  Welcome welcome;
  welcome.run = kRun;
  welcome.session = {9};
  ASSERT_TRUE(transport->open_lane(hellos[0].peer, hellos[0].key, 4, welcome));
  EXPECT_EQ(handshake(zmq::socket_type::pull, welcome.lane_port, &*join_key(other)), Handshake::kRefused);
  EXPECT_EQ(turned_away().at(0).why, TurnedAwayFor::kOtherLane);
  EXPECT_EQ(handshake(zmq::socket_type::pull, welcome.lane_port, &*join_key(worker)), Handshake::kDone);
}

TEST_F(SecuredSockets, NoSocketTakesAStrangerOrOneWithoutAKey) {
  ask(join_key(worker));
  Welcome welcome;
  welcome.run = kRun;
  welcome.session = {9};
  ASSERT_TRUE(transport->open_lane(hellos.at(0).peer, hellos.at(0).key, 4, welcome));
  const auto stranger = join_key(make_secret_key());
  const std::pair<zmq::socket_type, std::uint16_t> sockets[] = {
      {zmq::socket_type::dealer, transport->door(0).port()},
      {zmq::socket_type::push, transport->door(0).sink_port()},
      {zmq::socket_type::pull, welcome.lane_port}};
  for (const auto& [type, port] : sockets) {
    EXPECT_EQ(handshake(type, port, &*stranger), Handshake::kRefused) << port;
    EXPECT_NE(handshake(type, port, nullptr), Handshake::kDone) << port;
  }
  std::vector<dispatcher::Event> events;
  transport->receive_sinks(100, 1 << 20, events);
  EXPECT_TRUE(events.empty());
  EXPECT_EQ(transport->refused_frames(), 0u) << "nothing of a stranger gets as far as the decoder";
}

TEST_F(SecuredSockets, AFrameHasTheKeyOfItsSenderWhateverItSays) {
  ask(join_key(worker));
  Welcome welcome;
  welcome.run = kRun;
  welcome.session = {9};
  ASSERT_TRUE(transport->open_lane(hellos.at(0).peer, hellos.at(0).key, 4, welcome));
  worker::Transport hostile(context, join_key(other));
  welcome.sink_port = transport->door(0).sink_port();
  ASSERT_TRUE(hostile.open("127.0.0.1", true, welcome, boot_time()));
  hostile.send({kRun, {9}, 1}, Beat{});
  std::vector<dispatcher::Event> events;
  ASSERT_TRUE(wait_until([&] { return !events.empty(); },
                         [&] {
                           hostile.tend(boot_time());
                           transport->receive_sinks(100, 1 << 20, events);
                         }));
  EXPECT_EQ(gatekeeper.name_of(std::get<dispatcher::SinkReceived>(events[0]).key), "other");
}

TEST_F(SecuredSockets, TheCheckBeforeListeningPasses) {
  EXPECT_EQ(dispatcher::wrong_with_security(context, folder, server, worker), "");
  EXPECT_NE(dispatcher::wrong_with_security(context, folder, server, make_secret_key()), "");
}

// Without its handler libzmq lets everybody in: this must be seen before anybody can come.
TEST(SecurityCheck, FailsWithoutAGatekeeper) {
  zmq::context_t context = make_context(16);
  char made[] = "/tmp/workpool-test-XXXXXX";
  const std::string folder = ::mkdtemp(made);
  EXPECT_EQ(dispatcher::wrong_with_security(context, folder, make_secret_key(), make_secret_key()),
            "a key that nobody knows is not refused");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace workpool
