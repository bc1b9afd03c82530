// SPDX-License-Identifier: MIT
#include "common/io/names.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <thread>

#include "common/io/clock.h"
#include "common/io/greeting.h"

namespace workpool {
namespace {

constexpr Duration kLimit = seconds(10);
const std::atomic<bool> kGoOn{false};

// A listening socket on a port of its own; `backlog` 0 fills after one or two connections that nobody
// accepts.
class Listener {
 public:
  explicit Listener(int family = AF_INET, int backlog = 16) {
    fd_ = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_storage address{};
    address.ss_family = static_cast<sa_family_t>(family);
    if (family == AF_INET) reinterpret_cast<sockaddr_in&>(address).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (family == AF_INET6) reinterpret_cast<sockaddr_in6&>(address).sin6_addr = in6addr_loopback;
    socklen_t size = sizeof address;
    ok_ = ::bind(fd_, reinterpret_cast<sockaddr*>(&address),
                 family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6)) == 0 &&
          ::listen(fd_, backlog) == 0 &&
          ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    port_ = ntohs(family == AF_INET ? reinterpret_cast<sockaddr_in&>(address).sin_port
                                    : reinterpret_cast<sockaddr_in6&>(address).sin6_port);
  }
  ~Listener() { ::close(fd_); }
  bool ok() const { return ok_; }
  std::uint16_t port() const { return port_; }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
  bool ok_ = false;
  std::uint16_t port_ = 0;
};

TEST(Names, LiteralsResolveToThemselves) {
  EXPECT_EQ(resolve("127.0.0.1", 5555).hosts, std::vector<std::string>{"127.0.0.1"});
  EXPECT_EQ(resolve("::1", 5555).hosts, std::vector<std::string>{"::1"});
  EXPECT_EQ(resolve("127.0.0.1", 5555).problem, "");
}

TEST(Names, LocalhostIsThisHostEachAddressOnce) {
  auto hosts = resolve("localhost", 5555).hosts;
  EXPECT_NE(std::find(hosts.begin(), hosts.end(), "127.0.0.1"), hosts.end());
  std::sort(hosts.begin(), hosts.end());
  EXPECT_EQ(std::unique(hosts.begin(), hosts.end()), hosts.end());
}

TEST(Names, AProblemNamesTheName) {
  const Resolved resolved = resolve("no-such-host.invalid", 5555);
  EXPECT_TRUE(resolved.hosts.empty());
  EXPECT_NE(resolved.problem.find("\"no-such-host.invalid\""), std::string::npos) << resolved.problem;
}

// A name service that is silent until `go`.
struct Silent {
  static std::atomic<bool>& go() {
    static std::atomic<bool> value{false};
    return value;
  }
  static Resolved answer(const std::string& host, std::uint16_t) {
    while (!go()) std::this_thread::sleep_for(milliseconds(1));
    return {{"10.0.0.1"}, host};
  }
};

TEST(Names, ALookupCanBeLeftAndAskedAgain) {
  const std::atomic<bool> never{false};
  const std::atomic<bool> stopped{true};
  const Time begin = boot_time();
  const Lookup lookup("name", 1, Silent::answer);
  EXPECT_FALSE(lookup.wait(boot_time() + milliseconds(20), never));
  EXPECT_FALSE(lookup.wait(boot_time() + seconds(1000), stopped));
  EXPECT_LT(boot_time() - begin, seconds(100));
  Silent::go() = true;
  const auto answer = lookup.wait(boot_time() + seconds(100), never);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->hosts, std::vector<std::string>{"10.0.0.1"});
  EXPECT_EQ(answer->problem, "name");
  EXPECT_TRUE(lookup.wait(boot_time(), stopped));
}

// Accepts one connection, says `greeting`, and closes if that is wanted; reads what the other side closes
// with.
class Peer {
 public:
  Peer(const Listener& listener, std::string greeting, bool closes)
      : thread_([fd = listener.fd(), greeting, closes, this] {
          pollfd come{fd, POLLIN, 0};
          if (::poll(&come, 1, 10'000) != 1) return;
          const int peer = ::accept(fd, nullptr, nullptr);
          if (!greeting.empty())
            static_cast<void>(!::send(peer, greeting.data(), greeting.size(), MSG_NOSIGNAL));
          if (!closes) {
            char bytes[256];
            pollfd wait{peer, POLLIN, 0};
            while (!saw_end_ && ::poll(&wait, 1, 10'000) == 1)
              saw_end_ = ::recv(peer, bytes, sizeof bytes, 0) <= 0;
          }
          ::close(peer);
        }) {}
  ~Peer() { join(); }
  bool saw_end() {
    join();
    return saw_end_;
  }

 private:
  void join() {
    if (thread_.joinable()) thread_.join();
  }
  std::atomic<bool> saw_end_{false};
  std::thread thread_;
};

// The problem of a greeting of ours, which has no keys.
std::string try_greeting(const std::string& literal, std::uint16_t port, Duration connect_limit,
                         Duration greeting_limit, Time end, const std::atomic<bool>& stop) {
  return greeting(literal, port, "NULL", connect_limit, greeting_limit, end, stop).problem;
}

// What a peer of ZeroMQ sends.
std::string greeting_of(const std::string& mechanism) {
  const std::string signature("\xff\0\0\0\0\0\0\0\x01\x7f", 10);
  return signature + std::string("\x03\x01", 2) + mechanism + std::string(20 - mechanism.size(), '\0');
}

TEST(Names, AGreetingIsHeardAndTheConnectionClosedAgain) {
  const Listener four;
  Peer peer(four, greeting_of("CURVE"), false);
  const Greeting heard = greeting("127.0.0.1", four.port(), "NULL", kLimit, kLimit, kNever, kGoOn);
  EXPECT_EQ(heard.problem, "");
  EXPECT_EQ(heard.mechanism, "CURVE");
  EXPECT_TRUE(peer.saw_end());
  const Listener six(AF_INET6);
  if (!six.ok()) GTEST_SKIP() << "no IPv6 here";
  Peer sixth(six, greeting_of("NULL"), false);
  EXPECT_EQ(try_greeting("::1", six.port(), kLimit, kLimit, kNever, kGoOn), "");
}

TEST(Names, AConnectionThatIsClosedAtOnceIsNotWaitedFor) {
  const Listener listener;
  Peer peer(listener, "", true);
  const Time start = boot_time();
  EXPECT_EQ(try_greeting("127.0.0.1", listener.port(), kLimit, kLimit, kNever, kGoOn),
            "the connection was closed without an answer");
  EXPECT_LT(boot_time() - start, seconds(5));
}

TEST(Names, AnotherServerIsToldByItsFirstByte) {
  const Listener listener;
  Peer peer(listener, "SSH-2.0", false);
  EXPECT_EQ(try_greeting("127.0.0.1", listener.port(), kLimit, kLimit, kNever, kGoOn),
            "what listens there is not a workpool dispatcher");
}

TEST(Names, OneThatSaysNothingIsGivenUpAfterTheLimit) {
  const Listener listener;
  EXPECT_EQ(try_greeting("127.0.0.1", listener.port(), kLimit, seconds(1), kNever, kGoOn),
            "accepted the connection, but gave no answer within 1 s (is it a dispatcher?)");
}

TEST(Names, NobodyListens) {
  std::uint16_t port = 0;
  {
    const Listener gone;
    port = gone.port();
  }
  EXPECT_EQ(try_greeting("127.0.0.1", port, kLimit, kLimit, kNever, kGoOn), "Connection refused");
}

TEST(Names, WhatIsNoLiteralIsSaid) {
  EXPECT_NE(try_greeting("localhost", 1, kLimit, kLimit, kNever, kGoOn), "");
}

TEST(Names, NothingIsWaitedForBeyondTheEnd) {
  const Listener listener;
  const Time start = boot_time();
  EXPECT_NE(try_greeting("127.0.0.1", listener.port(), kLimit, kLimit, start + milliseconds(300), kGoOn), "");
  EXPECT_LT(boot_time() - start, seconds(5));
}

// A listener whose backlog is full drops SYNs: no answer at all.
class SilentListener : public testing::Test {
 protected:
  void SetUp() override {
    for (int i = 0; i < 8; ++i) {
      const int peer = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = htons(listener.port());
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      static_cast<void>(!::connect(peer, reinterpret_cast<sockaddr*>(&address), sizeof address));
      peers.push_back(peer);
    }
    const std::string answer =
        try_greeting("127.0.0.1", listener.port(), milliseconds(300), milliseconds(300), kNever, kGoOn);
    if (answer.find("accepted") != std::string::npos)
      GTEST_SKIP() << "this kernel accepts beyond the backlog";
  }
  void TearDown() override {
    for (const int peer : peers) ::close(peer);
  }

  Listener listener{AF_INET, 0};
  std::vector<int> peers;
};

TEST_F(SilentListener, IsGivenUpAfterTheLimit) {
  const Time start = boot_time();
  EXPECT_EQ(try_greeting("127.0.0.1", listener.port(), seconds(1), kLimit, kNever, kGoOn),
            "no answer within 1 s");
  EXPECT_GE(boot_time() - start, seconds(1));
  EXPECT_LT(boot_time() - start, seconds(8));
}

TEST_F(SilentListener, IsGivenUpAtAStop) {
  std::atomic<bool> stop{false};
  std::thread stopper([&stop] {
    ::poll(nullptr, 0, 100);
    stop = true;
  });
  const Time start = boot_time();
  EXPECT_NE(try_greeting("127.0.0.1", listener.port(), seconds(30), seconds(30), kNever, stop), "");
  EXPECT_LT(boot_time() - start, seconds(5));
  stopper.join();
}

}  // namespace
}  // namespace workpool
