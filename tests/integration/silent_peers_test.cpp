// SPDX-License-Identifier: MIT
// Peers that shake hands and then say nothing: their connections are closed, and nobody else's.
#include "dispatcher/io/net/silent_peers.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

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

TEST(SilentPeers, WhoeverSaysNothingIsClosedAndNobodyElse) {
  zmq::context_t context = make_context(16);
  zmq::socket_t watched = make_socket(context, zmq::socket_type::router);
  zmq::socket_t other = make_socket(context, zmq::socket_type::router);
  const std::uint16_t port = bind_any(watched);
  SilentPeers silent({{port, milliseconds(800)}});
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
    closed += silent.look(boot_time());
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
TEST(SilentPeers, WhatIsUnreadIsNoSilence) {
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
  SilentPeers silent({{port, milliseconds(100)}});
  std::size_t closed = 0;
  for (int i = 0; i < 150; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    closed += silent.look(boot_time());
  }
  EXPECT_EQ(closed, 0u);
  // Also a port is no peer: the listening socket is still there.
  EXPECT_TRUE(is_open(peer));
}

}  // namespace
}  // namespace workpool::dispatcher
