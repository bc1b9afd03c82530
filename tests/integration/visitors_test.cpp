// SPDX-License-Identifier: MIT
// Peers that shake hands and then say nothing: their connections are closed, and nobody else's.
#include "dispatcher/io/net/visitors.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "common/io/clock.h"
#include "common/io/descriptor.h"
#include "common/io/sockets.h"

namespace workpool::dispatcher {
namespace {

std::uint16_t bind_any(zmq::socket_t& socket) {
  socket.bind("tcp://127.0.0.1:*");
  const std::string last = socket.get(zmq::sockopt::last_endpoint);
  return static_cast<std::uint16_t>(std::strtoul(last.c_str() + last.rfind(':') + 1, nullptr, 10));
}

// Over plain TCP: greeting and READY of a DEALER, by hand.
Descriptor shake_hands(std::uint16_t port) {
  Descriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  std::string greeting(64, '\0');
  greeting[0] = '\xff';
  greeting[8] = 1;
  greeting[9] = '\x7f';
  greeting[10] = 3;
  greeting.replace(12, 4, "NULL");
  const std::string ready(
      "\x04\x1c\x05READY\x0bSocket-Type\x00\x00\x00\x06"
      "DEALER",
      30);
  const std::string all = greeting + ready;
  EXPECT_EQ(::send(fd.get(), all.data(), all.size(), 0), static_cast<ssize_t>(all.size()));
  return fd;
}

// Reads what has come. False once the other side has closed the connection.
bool is_open(const Descriptor& fd) {
  char buffer[512];
  for (;;) {
    const ssize_t got = ::recv(fd.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got <= 0) return got < 0 && errno == EAGAIN;
  }
}

TEST(Visitors, WhoeverSaysNothingIsClosedAndNobodyElse) {
  zmq::context_t context = make_context(16);
  zmq::socket_t watched = make_socket(context, zmq::socket_type::router);
  zmq::socket_t other = make_socket(context, zmq::socket_type::router);
  const std::uint16_t port = bind_any(watched);
  Visitors visitors({{port, milliseconds(800)}});
  const Descriptor mute = shake_hands(port);
  const Descriptor elsewhere = shake_hands(bind_any(other));
  zmq::socket_t talker = make_dialling_socket(context, zmq::socket_type::dealer);
  talker.connect("tcp://127.0.0.1:" + std::to_string(port));
  std::size_t closed = 0;
  std::size_t heard = 0;
  const Time until = boot_time() + seconds(20);
  bool is_gone = false;
  while (!is_gone && boot_time() < until) {
    send_frame(talker, "beat");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    zmq::message_t frame;
    while (watched.recv(frame, zmq::recv_flags::dontwait)) ++heard;
    closed += visitors.look(boot_time());
    is_gone = !is_open(mute);
  }
  EXPECT_TRUE(is_gone);
  EXPECT_EQ(closed, 1u);
  EXPECT_TRUE(is_open(elsewhere));
  const std::size_t before = heard;
  send_frame(talker, "still here");
  pollfd item{watched.get(zmq::sockopt::fd), POLLIN, 0};
  for (int i = 0; i < 100 && heard == before; ++i) {
    ::poll(&item, 1, 20);
    zmq::message_t frame;
    while (watched.recv(frame, zmq::recv_flags::dontwait)) ++heard;
  }
  EXPECT_GT(heard, before);
}

// What the dispatcher has not read yet was said nevertheless.
TEST(Visitors, WhatIsUnreadIsNoSilence) {
  const Descriptor listening(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listening.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listening.get(), 8), 0);
  ASSERT_EQ(::getsockname(listening.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::uint16_t port = ntohs(address.sin_port);
  const Descriptor peer = shake_hands(port);
  const Descriptor accepted(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
  Visitors visitors({{port, milliseconds(100)}});
  std::size_t closed = 0;
  for (int i = 0; i < 150; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    closed += visitors.look(boot_time());
  }
  EXPECT_EQ(closed, 0u);
  // Also a port is no peer: the listening socket is still there.
  EXPECT_TRUE(is_open(peer));
}

std::size_t look_for(Visitors& visitors, Duration how_long) {
  std::size_t closed = 0;
  for (const Time until = boot_time() + how_long; boot_time() < until;) {
    closed += visitors.look(boot_time());
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return closed;
}

TEST(Visitors, NobodyStaysForLongerThanAllowedHoweverMuchHeSays) {
  zmq::context_t context = make_context(16);
  zmq::socket_t watched = make_socket(context, zmq::socket_type::router);
  const std::uint16_t port = bind_any(watched);
  Visitors visitors({{port, Duration{0}, seconds(2)}});
  zmq::socket_t talker = make_dialling_socket(context, zmq::socket_type::dealer);
  talker.connect("tcp://127.0.0.1:" + std::to_string(port));
  const Time until = boot_time() + seconds(20);
  std::size_t closed = 0;
  while (closed == 0 && boot_time() < until) {
    send_frame(talker, "still here");
    closed += look_for(visitors, milliseconds(50));
  }
  EXPECT_EQ(closed, 1u);
}

TEST(Visitors, OfTooManyNewcomersTheFirstGo) {
  zmq::context_t context = make_context(16);
  zmq::socket_t watched = make_socket(context, zmq::socket_type::router);
  const std::uint16_t port = bind_any(watched);
  Visitors visitors({{port, Duration{0}, Duration{0}, 2, 1000}});
  std::vector<Descriptor> early;
  for (int i = 0; i < 3; ++i) early.push_back(shake_hands(port));
  look_for(visitors, milliseconds(1200));  // seen
  const Descriptor late = shake_hands(port);
  const auto still_open = [&early] {
    return std::count_if(early.begin(), early.end(), [](const Descriptor& fd) { return is_open(fd); });
  };
  for (const Time until = boot_time() + seconds(20); still_open() > 1 && boot_time() < until;)
    look_for(visitors, milliseconds(100));
  look_for(visitors, milliseconds(1200));  // no more than these go
  EXPECT_TRUE(is_open(late));
  EXPECT_EQ(still_open(), 1);
  // One that has said enough is no newcomer any more.
  const std::string much(2000, '\0');
  static_cast<void>(!::send(late.get(), much.data(), much.size(), MSG_NOSIGNAL));
  const Descriptor second = shake_hands(port);
  EXPECT_EQ(look_for(visitors, milliseconds(2500)), 0u);
}

// ---- what nobody wants ----

class Unwanted : public testing::Test {
 protected:
  Unwanted() {
    talker_.connect("tcp://127.0.0.1:" + std::to_string(port_));
    other_.connect("tcp://127.0.0.1:" + std::to_string(port_));
  }
  // The next frame that arrives from there; its connection's descriptor.
  int pass(zmq::socket_t& from, std::size_t bytes) {
    while (!send_frame(from, std::string(bytes, 'x')))
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    zmq::message_t frame;
    EXPECT_TRUE(watched_.recv(frame));
    return ::zmq_msg_get(frame.handle(), ZMQ_SRCFD);
  }
  // Whether a frame from there still arrives. (A dialling socket does not dial again.)
  bool is_there(zmq::socket_t& from) {
    for (int i = 0; i < 100; ++i) {
      static_cast<void>(send_frame(from, "?"));
      zmq::message_t frame;
      if (watched_.recv(frame, zmq::recv_flags::dontwait)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

  // Whether nothing arrives from there any more, once all is read that had been sent before.
  bool is_gone(zmq::socket_t& from) {
    int quiet = 0;
    for (int i = 0; i < 100 && quiet < 5; ++i) {
      static_cast<void>(send_frame(from, "?"));
      std::this_thread::sleep_for(std::chrono::milliseconds(40));
      zmq::message_t frame;
      bool came = false;
      while (watched_.recv(frame, zmq::recv_flags::dontwait)) came = true;
      quiet = came ? 0 : quiet + 1;
    }
    return quiet == 5;
  }

  zmq::context_t context_ = make_context(16);
  zmq::socket_t watched_ = make_socket(context_, zmq::socket_type::pull);
  std::uint16_t port_ = bind_any(watched_);
  zmq::socket_t talker_ = make_dialling_socket(context_, zmq::socket_type::push);
  zmq::socket_t other_ = make_dialling_socket(context_, zmq::socket_type::push);
  Visitors visitors_{{{port_, seconds(60)}}};
};

TEST_F(Unwanted, WhoeverBringsNothingElseIsClosedAndNobodyElse) {
  const Time now = boot_time();
  EXPECT_GE(pass(other_, 1), 0);
  int fd = -1;
  for (std::size_t i = 0; i < Visitors::kUnwantedMost; ++i) visitors_.unwanted(fd = pass(talker_, 1), 1, now);
  ASSERT_TRUE(is_there(talker_));
  visitors_.unwanted(fd, 1, now);
  EXPECT_TRUE(is_gone(talker_));
  EXPECT_TRUE(is_there(other_));
}

TEST_F(Unwanted, FewFramesMayBeTooMuchAsWell) {
  const Time now = boot_time();
  const int fd = pass(talker_, 1);
  for (std::size_t mib = 0; mib < 4; ++mib) visitors_.unwanted(fd, 1 << 20, now);
  ASSERT_TRUE(is_there(talker_));
  visitors_.unwanted(fd, 1, now);
  EXPECT_TRUE(is_gone(talker_));
}

TEST_F(Unwanted, WhatComesNowAndThenDoesNotAddUp) {
  Time now = boot_time();
  const int fd = pass(talker_, 1);
  for (std::size_t i = 0; i < 5 * Visitors::kUnwantedMost; ++i) {
    visitors_.unwanted(fd, 1, now);
    now += milliseconds(11);
  }
  EXPECT_TRUE(is_there(talker_));
}

TEST_F(Unwanted, OtherPortsAreNotLookedAt) {
  visitors_.remove(port_);
  const int fd = pass(talker_, 1);
  for (std::size_t i = 0; i < 2 * Visitors::kUnwantedMost; ++i) visitors_.unwanted(fd, 1, boot_time());
  EXPECT_TRUE(is_there(talker_));
}

}  // namespace
}  // namespace workpool::dispatcher
