// SPDX-License-Identifier: MIT
// Registrar against the dispatcher's registration socket, and against whatever else may listen there.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "common/io/names.h"
#include "tests/integration/sockets_fixture.h"

namespace workpool {
namespace {

using worker::RegistrationAnswer;
using worker::Unanswered;

// A server of another program: says `greeting` to everyone, and then closes if it `hangs_up`.
class OtherServer {
 public:
  OtherServer(std::string greeting, bool hangs_up) : greeting_(std::move(greeting)), hangs_up_(hangs_up) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_, 16);
    socklen_t size = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~OtherServer() {
    stop_ = true;
    thread_.join();
    for (const int peer : peers_) ::close(peer);
    ::close(listener_);
  }
  std::uint16_t port() const { return port_; }

 private:
  void serve() {
    while (!stop_) {
      pollfd wait{listener_, POLLIN, 0};
      if (::poll(&wait, 1, 20) <= 0) continue;
      const int peer = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0) continue;
      static_cast<void>(!::send(peer, greeting_.data(), greeting_.size(), MSG_NOSIGNAL));
      if (hangs_up_) {
        ::close(peer);
      } else {
        peers_.push_back(peer);
      }
    }
  }

  std::string greeting_;
  bool hangs_up_;
  int listener_ = -1;
  std::uint16_t port_ = 0;
  std::atomic<bool> stop_{false};
  std::vector<int> peers_;
  std::thread thread_;
};

std::string reason(const RegistrationAnswer& answer) {
  const auto* unanswered = std::get_if<Unanswered>(&answer.answer);
  return unanswered == nullptr ? "(answered)" : unanswered->reason;
}

class Registration : public testing::Test {
 protected:
  zmq::context_t context = make_context(64);
};

TEST_F(Registration, AHelloIsWelcomed) {
  DispatcherEnd dispatcher;
  RegistrarEnd registrar(context, "127.0.0.1", dispatcher.port());
  registrar.ask(7);
  const auto answer = registrar.answer([&] {
    dispatcher.turn();
    for (const auto& hello : std::exchange(dispatcher.hellos, {})) {
      EXPECT_EQ(hello.hello.name, "w");
      EXPECT_EQ(hello.hello.slots, 2U);
      dispatcher.transport.reply(hello.peer, dispatcher.open({9}));
    }
  });
  EXPECT_EQ(answer.try_number, 7U);
  EXPECT_EQ(answer.host, "127.0.0.1");
  ASSERT_TRUE(std::holds_alternative<Welcome>(answer.answer)) << reason(answer);
  EXPECT_EQ(std::get<Welcome>(answer.answer).session, SessionId{9});
}

// Of a worker that was ended before anybody looked: it must not be admitted under the name that the next one
// asks for.
TEST_F(Registration, WhatWaitsCanBeDropped) {
  DispatcherEnd dispatcher;
  {
    RegistrarEnd ended(context, "127.0.0.1", dispatcher.port());
    ended.ask();
    zmq::pollitem_t waits{dispatcher.transport.readable_handles().at(1), 0, ZMQ_POLLIN, 0};
    ASSERT_EQ(zmq::poll(&waits, 1, std::chrono::seconds(20)), 1);
  }
  dispatcher.transport.drop_registrations();
  dispatcher.turn();
  EXPECT_TRUE(dispatcher.hellos.empty());
  RegistrarEnd next(context, "127.0.0.1", dispatcher.port());
  next.ask(3);
  EXPECT_TRUE(
      wait_until([&] { return !dispatcher.hellos.empty(); }, [&] { dispatcher.turn(); }, seconds(20)));
  EXPECT_EQ(dispatcher.hellos.at(0).hello.try_number, 3U);
}

TEST_F(Registration, AHelloIsRefused) {
  DispatcherEnd dispatcher;
  RegistrarEnd registrar(context, "127.0.0.1", dispatcher.port());
  registrar.ask();
  const auto answer = registrar.answer([&] {
    dispatcher.turn();
    for (const auto& hello : std::exchange(dispatcher.hellos, {})) {
      dispatcher.transport.reply(hello.peer, Refused{kProtocol, Refusal::kComplete, "the run is complete"});
    }
  });
  ASSERT_TRUE(std::holds_alternative<Refused>(answer.answer)) << reason(answer);
  EXPECT_EQ(std::get<Refused>(answer.answer).code, Refusal::kComplete);
}

TEST_F(Registration, ADispatcherOfAnotherProtocolRefuses) {
  zmq::socket_t dispatcher = make_socket(context, zmq::socket_type::router);
  dispatcher.bind("tcp://127.0.0.1:*");
  const std::string bound = dispatcher.get(zmq::sockopt::last_endpoint);
  const auto port = static_cast<std::uint16_t>(std::atoi(bound.c_str() + bound.rfind(':') + 1));
  RegistrarEnd registrar(context, "127.0.0.1", port);
  registrar.ask();
  const auto answer = registrar.answer([&] {
    zmq::message_t peer;
    zmq::message_t frame;
    if (!dispatcher.recv(peer, zmq::recv_flags::dontwait)) return;
    receive_frame(dispatcher, frame);
    send_frame(dispatcher, peer.to_string_view(), true);
    send_frame(dispatcher, std::string("\x96\x03\0\0\0\x02\xc0", 7));
  });
  ASSERT_TRUE(std::holds_alternative<Refused>(answer.answer)) << reason(answer);
  EXPECT_EQ(std::get<Refused>(answer.answer).code, Refusal::kWrongProtocol);
}

TEST_F(Registration, OverIPv6AndByName) {
  std::unique_ptr<DispatcherEnd> dispatcher;
  try {
    dispatcher = std::make_unique<DispatcherEnd>(on("::1"));
  } catch (const dispatcher::BindError& error) {
    GTEST_SKIP() << "no IPv6 here: " << error.message;
  }
  RegistrarEnd registrar(context, "::1", dispatcher->port());
  registrar.ask();
  const auto answer = registrar.answer([&] {
    dispatcher->turn();
    for (const auto& hello : std::exchange(dispatcher->hellos, {})) {
      dispatcher->transport.reply(hello.peer, dispatcher->open({9}));
    }
  });
  ASSERT_TRUE(std::holds_alternative<Welcome>(answer.answer)) << reason(answer);
  WorkerEnd worker(context);
  worker.open(std::get<Welcome>(answer.answer), answer.host);
  worker.send(Held{});
  dispatcher->transport.send({9}, LaneBeat{1, 0, 0});
  EXPECT_TRUE(wait_until(
      [&] { return !worker.lane().empty() && !dispatcher->all<dispatcher::SinkReceived>().empty(); },
      [&] {
        dispatcher->turn();
        worker.turn();
      }));
}

// With localhost = ::1, 127.0.0.1 the second address is reached, which libzmq by itself never tries.
TEST_F(Registration, TriesEveryAddressOfAName) {
  DispatcherEnd dispatcher;
  const auto hosts = resolve("localhost", dispatcher.port()).hosts;
  ASSERT_FALSE(hosts.empty());
  RegistrarEnd registrar(context, "localhost", dispatcher.port());
  registrar.ask();
  const auto answer = registrar.answer([&] {
    dispatcher.turn();
    for (const auto& hello : std::exchange(dispatcher.hellos, {})) {
      dispatcher.transport.reply(hello.peer, dispatcher.open({9}));
    }
  });
  EXPECT_TRUE(std::holds_alternative<Welcome>(answer.answer)) << reason(answer);
  EXPECT_EQ(answer.host, "127.0.0.1");
}

TEST_F(Registration, NobodyListens) {
  std::uint16_t port = 0;
  {
    OtherServer gone("", true);
    port = gone.port();
  }
  RegistrarEnd registrar(context, "127.0.0.1", port);
  registrar.ask();
  const auto answer = registrar.answer();
  EXPECT_NE(reason(answer).find("127.0.0.1:" + std::to_string(port)), std::string::npos) << reason(answer);
  EXPECT_NE(reason(answer).find("refused"), std::string::npos) << reason(answer);
}

TEST_F(Registration, TheNameDoesNotResolve) {
  RegistrarEnd registrar(context, "no-such-host.invalid", 5555);
  registrar.ask();
  EXPECT_NE(reason(registrar.answer()).find("no-such-host.invalid"), std::string::npos);
}

TEST_F(Registration, AnotherHostNeedsLeave) {
  RegistrarEnd registrar(context, "192.0.2.1", 5555, false);
  registrar.ask();
  const auto answer = registrar.answer();
  ASSERT_TRUE(std::holds_alternative<Unanswered>(answer.answer));
  EXPECT_TRUE(std::get<Unanswered>(answer.answer).not_allowed);
  EXPECT_NE(reason(answer).find("--insecure"), std::string::npos) << reason(answer);
}

// The one address that may be dialled refuses now; the worker waits for it and leaves the other alone.
TEST_F(Registration, AnAddressThatMayNotBeDialledDoesNotHideOneThatMay) {
  std::uint16_t port = 0;
  {
    OtherServer gone("", true);
    port = gone.port();
  }
  const auto both = [](const std::string&, std::uint16_t) {
    return Resolved{{"192.0.2.1", "127.0.0.1"}, ""};
  };
  RegistrarEnd registrar(context, "both", port, false, both);
  registrar.ask();
  const auto answer = registrar.answer();
  ASSERT_TRUE(std::holds_alternative<Unanswered>(answer.answer));
  EXPECT_FALSE(std::get<Unanswered>(answer.answer).not_allowed);
  EXPECT_NE(reason(answer).find("127.0.0.1:" + std::to_string(port) + ": Connection refused"),
            std::string::npos)
      << reason(answer);
  EXPECT_NE(reason(answer).find("192.0.2.1"), std::string::npos) << reason(answer);
}

// Silent, or talking of something else: libzmq does not tell one from the other, so each has its five
// seconds.
TEST_F(Registration, AServerThatIsNoDispatcherIsGivenFiveSeconds) {
  struct Case {
    explicit Case(zmq::context_t& context, const std::string& greeting, bool hangs_up)
        : server(greeting, hangs_up), registrar(context, "127.0.0.1", server.port()) {}
    OtherServer server;
    RegistrarEnd registrar;
  };
  const Time start = boot_time();
  std::vector<std::unique_ptr<Case>> cases;
  cases.push_back(std::make_unique<Case>(context, "", false));
  cases.push_back(std::make_unique<Case>(context, "", true));
  cases.push_back(std::make_unique<Case>(context, "HTTP/1.1 400 Bad Request\r\n\r\n", true));
  cases.push_back(std::make_unique<Case>(context, "SSH-2.0-OpenSSH_9.2p1\r\n", false));
  cases.push_back(std::make_unique<Case>(context, std::string(200, '\xff'), false));
  for (const auto& one : cases) one->registrar.ask();
  for (const auto& one : cases) {
    const auto answer = one->registrar.answer();
    EXPECT_NE(reason(answer).find(std::to_string(one->server.port())), std::string::npos) << reason(answer);
  }
  EXPECT_LT(boot_time() - start, seconds(20));
}

TEST_F(Registration, WhatIsNoAnswerOfOursIsSaidAtOnce) {
  zmq::socket_t other = make_socket(context, zmq::socket_type::router);
  other.bind("tcp://127.0.0.1:*");
  const std::string bound = other.get(zmq::sockopt::last_endpoint);
  const auto port = static_cast<std::uint16_t>(std::atoi(bound.c_str() + bound.rfind(':') + 1));
  RegistrarEnd registrar(context, "127.0.0.1", port);
  registrar.ask();
  const Time start = boot_time();
  const auto answer = registrar.answer([&] {
    zmq::message_t peer;
    zmq::message_t frame;
    if (!other.recv(peer, zmq::recv_flags::dontwait)) return;
    receive_frame(other, frame);
    send_frame(other, peer.to_string_view(), true);
    send_frame(other, "hello yourself");
  });
  EXPECT_NE(reason(answer).find("not a workpool dispatcher"), std::string::npos) << reason(answer);
  EXPECT_LT(boot_time() - start, seconds(4));
}

TEST_F(Registration, ADispatcherThatDiesInsteadOfAnAnswerIsNotWaitedFor) {
  auto dispatcher = std::make_unique<DispatcherEnd>();
  RegistrarEnd registrar(context, "127.0.0.1", dispatcher->port());
  registrar.ask();
  ASSERT_TRUE(wait_until([&] { return !dispatcher->hellos.empty(); }, [&] { dispatcher->turn(); }));
  dispatcher.reset();
  const Time start = boot_time();
  const auto answer = registrar.answer();
  EXPECT_NE(reason(answer).find("closed without an answer"), std::string::npos) << reason(answer);
  EXPECT_LT(boot_time() - start, seconds(4));
}

TEST_F(Registration, ATryUnderWayIsGivenUpAtTheEnd) {
  OtherServer server("", false);
  Time start;
  {
    RegistrarEnd registrar(context, "127.0.0.1", server.port());
    registrar.ask();
    ::poll(nullptr, 0, 100);
    start = boot_time();
  }
  EXPECT_LT(boot_time() - start, seconds(2));
}

// Strangers that speak half of ZMTP, or none of it: the next worker is served.
TEST_F(Registration, StrangersDoNoHarm) {
  DispatcherEnd dispatcher;
  std::string greeting("\xff\0\0\0\0\0\0\0\x01\x7f\x03\0NULL", 16);
  greeting.resize(64, '\0');
  const std::string ready(
      "\x04\x19\x05READY\x0bSocket-Type\0\0\0\x06"
      "DEALER",
      33);
  std::vector<int> peers;
  for (int i = 0; i < 60; ++i) {
    const int peer = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(dispatcher.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    std::string bytes = i % 3 == 0 ? std::string() : i % 3 == 1 ? greeting : greeting + ready;
    for (int k = 0; k < 300; ++k) bytes += static_cast<char>((k * 37 + i * 101) >> (i % 5));
    static_cast<void>(!::send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL));
    peers.push_back(peer);
  }
  RegistrarEnd registrar(context, "127.0.0.1", dispatcher.port());
  registrar.ask();
  const auto answer = registrar.answer([&] {
    dispatcher.turn();
    for (const auto& hello : std::exchange(dispatcher.hellos, {})) {
      dispatcher.transport.reply(hello.peer, dispatcher.open({9}));
    }
  });
  EXPECT_TRUE(std::holds_alternative<Welcome>(answer.answer)) << reason(answer);
  EXPECT_TRUE(dispatcher.all<dispatcher::SinkReceived>().empty());
  for (const int peer : peers) ::close(peer);
}

TEST_F(Registration, APortThatIsTakenIsNamed) {
  OtherServer server("", false);
  auto options = on("127.0.0.1");
  options.doors[0].port = server.port();
  try {
    DispatcherEnd dispatcher(options);
    ADD_FAILURE() << "the port is taken";
  } catch (const dispatcher::BindError& error) {
    EXPECT_NE(error.message.find(std::to_string(server.port())), std::string::npos) << error.message;
    EXPECT_NE(error.message.find("--listen"), std::string::npos) << error.message;
  }
}

}  // namespace
}  // namespace workpool
