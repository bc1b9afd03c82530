// SPDX-License-Identifier: MIT
// A dispatcher's and a worker's ends in one process, over real sockets on loopback, and waiting for what
// comes.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>

#include <atomic>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <zmq.hpp>

#include "common/base/address.h"
#include "common/io/clock.h"
#include "common/io/mailbox.h"
#include "common/io/sockets.h"
#include "dispatcher/io/net/transport.h"
#include "worker/io/net/registrar.h"
#include "worker/io/net/transport.h"

namespace workpool {

constexpr RunId kRun{0x77};
inline const dispatcher::Peer kSomePeer = "0peer";  // at the first door

// Turns `turn` until `done`, at most `limit`; false at its end.
inline bool wait_until(
    const std::function<bool()>& done, const std::function<void()>& turn = [] {},
    Duration limit = seconds(40)) {
  const Time end = boot_time() + limit;
  while (!done()) {
    if (boot_time() >= end) return false;
    turn();
    ::poll(nullptr, 0, 2);
  }
  return true;
}

inline dispatcher::TransportOptions on(const std::string& host, std::uint16_t low = 0,
                                       std::uint16_t high = 0) {
  dispatcher::TransportOptions options;
  options.doors.push_back({.host = host, .ports_low = low, .ports_high = high});
  return options;
}

// The dispatcher's sockets with the part of its loop that tests need.
struct DispatcherEnd {
  explicit DispatcherEnd(const dispatcher::TransportOptions& options = on("127.0.0.1"))
      : context(make_context(2000)), transport(context, options) {}

  void turn() {
    transport.receive_sinks(1000, 1 << 30, events);
    transport.receive_registration(100, hellos, asked);
    transport.tend(boot_time(), events);
  }
  template <class Event>
  std::vector<Event> all() const {
    std::vector<Event> found;
    for (const auto& event : events) {
      if (const auto* one = std::get_if<Event>(&event)) found.push_back(*one);
    }
    return found;
  }
  // Opens a lane and gives the WELCOME for it.
  Welcome open(SessionId session) {
    Welcome welcome;
    welcome.run = kRun;
    welcome.session = session;
    welcome.name = "w";
    welcome.worker_timeout = seconds(10);
    EXPECT_TRUE(transport.open_lane(kSomePeer, {}, 4, welcome));
    return welcome;
  }
  std::uint16_t port() const { return transport.door(0).port(); }
  std::uint16_t sink_port() const { return transport.door(0).sink_port(); }
  // The lane of a new session; nullopt if there is no port for it.
  std::optional<std::uint16_t> lane(SessionId session) {
    Welcome welcome;
    welcome.run = kRun;
    welcome.session = session;
    return transport.open_lane(kSomePeer, {}, 4, welcome) ? std::optional(welcome.lane_port) : std::nullopt;
  }

  zmq::context_t context;
  dispatcher::Transport transport;
  std::vector<dispatcher::Event> events;
  std::vector<dispatcher::HelloReceived> hellos;
  std::vector<dispatcher::StatusAsked> asked;
};

// A worker's lane and sink.
struct WorkerEnd {
  explicit WorkerEnd(zmq::context_t& context) : transport(context) {}

  void open(const Welcome& welcome, const std::string& host = "127.0.0.1") {
    session = welcome.session;
    gone = !transport.open(host, false, welcome, boot_time());
  }
  void turn() {
    transport.receive(1000, events);
    if (!transport.tend(boot_time())) gone = true;
  }
  bool send(const SinkMessage& message) { return transport.send({kRun, session, next_seq++}, message); }
  std::vector<worker::LaneReceived> lane() const {
    std::vector<worker::LaneReceived> found;
    for (const auto& event : events) {
      if (const auto* one = std::get_if<worker::LaneReceived>(&event)) found.push_back(*one);
    }
    return found;
  }
  bool sink_gone() const {
    for (const auto& event : events) {
      if (std::holds_alternative<worker::SinkGone>(event)) return true;
    }
    return gone;
  }

  worker::Transport transport;
  SessionId session;
  std::uint64_t next_seq = 1;
  std::vector<worker::Event> events;
  bool gone = false;
};

// A registrar and its answers.
struct RegistrarEnd {
  RegistrarEnd(zmq::context_t& context, const std::string& host, std::uint16_t port, bool insecure = true,
               Resolver resolver = resolve)
      : registrar(context, Address{host, port}, Credentials{nullptr, insecure}, box, resolver) {}

  void ask(std::uint32_t try_number = 1) {
    Hello hello;
    hello.worker = {5};
    hello.engine = 1;
    hello.try_number = try_number;
    hello.name = "w";
    hello.slots = 2;
    registrar.register_with(hello);
  }
  void take() {
    for (auto& answer : box.take()) answers.push_back(std::move(answer));
  }
  // The one answer; the dispatcher's `turn` meanwhile.
  worker::RegistrationAnswer answer(const std::function<void()>& turn = [] {}) {
    EXPECT_TRUE(wait_until(
        [this] {
          take();
          return !answers.empty();
        },
        turn, seconds(20)));
    return answers.empty() ? worker::RegistrationAnswer{} : answers.front();
  }

  Wake wake;
  Mailbox<worker::RegistrationAnswer> box{wake};
  worker::Registrar registrar;
  std::vector<worker::RegistrationAnswer> answers;
};

}  // namespace workpool
