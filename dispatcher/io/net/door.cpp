// SPDX-License-Identifier: MIT
#include "dispatcher/io/net/door.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "common/base/address.h"
#include "common/io/descriptor.h"
#include "common/io/handshake_watch.h"
#include "common/io/sockets.h"
#include "dispatcher/core/zap.h"

namespace workpool::dispatcher {
namespace {

// In a folder: numbers of the sink and of lanes.
constexpr std::uint16_t kFolderPortsLow = kFolderPort + 1;
constexpr std::uint16_t kFolderPortsHigh = 65'535;

DoorOptions with_folder_ports(DoorOptions options) {
  if (is_folder(options.host)) {
    options.port = kFolderPort;
    options.ports_low = kFolderPortsLow;
    options.ports_high = kFolderPortsHigh;
  }
  return options;
}

std::uint16_t bound_port(zmq::socket_t& socket) {
  const std::string last = socket.get(zmq::sockopt::last_endpoint);
  return static_cast<std::uint16_t>(std::strtoul(last.c_str() + last.find_last_of(":/") + 1, nullptr, 10));
}

std::string bind_problem(const std::string& where, int error) {
  std::string text = "cannot listen on " + where + ": " + zmq_strerror(error);
  if (error == EADDRINUSE) text += "; another program has the port: choose another one with --listen";
  if (error == EADDRNOTAVAIL || error == ENODEV)
    text +=
        "; this machine has no such address: choose one of its own, or tcp://0.0.0.0:PORT for all of them";
  if (error == EACCES) text += "; ports below 1024 are for root: choose a higher one";
  return text;
}

}  // namespace

bool has_spare_descriptors() {
  constexpr std::size_t kSpare = 8;
  std::array<Descriptor, kSpare> spare;
  for (Descriptor& descriptor : spare) {
    descriptor = Descriptor(::eventfd(0, EFD_CLOEXEC));
    if (!descriptor.is_open()) return false;
  }
  return true;
}

Door::Door(zmq::context_t& context, const DoorOptions& options)
    : context_(context),
      options_(with_folder_ports(options)),
      registration_(make_socket(context, zmq::socket_type::router)),
      sink_(make_socket(context, zmq::socket_type::pull)),
      next_port_(options_.ports_low) {
  // The last REFUSED on it may still be on its way when everything closes.
  registration_.set(zmq::sockopt::linger, 300);
  // Per connection: a worker is owed one answer, and a stranger who asks and reads nothing must not fill our
  // memory.
  registration_.set(zmq::sockopt::sndhwm, 256);
  // Per connection, so that a stranger who never stops sending holds at most 64 MiB of our memory.
  sink_.set(zmq::sockopt::rcvhwm, 512);
  secure(registration_, KeyId{});
  secure(sink_, KeyId{});
  if (options_.gatekeeper != nullptr) options_.gatekeeper->watch(registration_);
  bind_registration();
  if (bind_some(sink_, sink_port_)) return;
  throw BindError{options_.ports_low == 0
                      ? "cannot listen on any port of " + options_.host
                      : "cannot listen on any of the ports " + std::to_string(options_.ports_low) + "-" +
                            std::to_string(options_.ports_high) + " (--ports): all are taken"};
}

Door::~Door() {
  if (options_.gatekeeper != nullptr) HandshakeWatch::stop(registration_);
}

void Door::secure(zmq::socket_t& socket, KeyId only) {
  if (options_.key != nullptr) secure_server(socket, *options_.key, zap_domain(only));
}

std::optional<KeyId> Door::key_of(zmq::message_t& frame) const {
  if (options_.key == nullptr) return KeyId{};
  const char* const user = zmq_msg_gets(frame.handle(), "User-Id");
  return user != nullptr ? key_of_user(user) : std::nullopt;
}

void Door::bind_registration() {
  const bool any = options_.port == 0 && !is_folder(options_.host);
  try {
    registration_.bind(any ? "tcp://" + options_.host + ":*" : endpoint(options_.host, options_.port));
  } catch (const zmq::error_t& error) {
    throw BindError{bind_problem(endpoint(options_.host, options_.port), error.num())};
  }
  port_ = bound_port(registration_);
}

std::string Door::next_place() {
  if (options_.ports_low == 0) {
    const bool is_ipv6 = options_.host.find(':') != std::string::npos;
    return is_ipv6 ? "tcp://[" + options_.host + "]:*" : "tcp://" + options_.host + ":*";
  }
  const std::uint16_t port = next_port_;
  next_port_ = port == options_.ports_high ? options_.ports_low : static_cast<std::uint16_t>(port + 1);
  return endpoint(options_.host, port);
}

bool Door::bind_some(zmq::socket_t& socket, std::uint16_t& port) {
  const std::uint32_t tries = options_.ports_low == 0 ? 1u : 1u + options_.ports_high - options_.ports_low;
  for (std::uint32_t i = 0; i < tries; ++i) {
    const std::string where = next_place();
    // libzmq takes the name of a Unix socket away from another lane that has it.
    if (is_folder(options_.host) && ::access(where.c_str() + where.find('/') + 2, F_OK) == 0) continue;
    try {
      socket.bind(where);
      port = bound_port(socket);
      return true;
    } catch (const zmq::error_t& error) {
      if (error.num() != EADDRINUSE && error.num() != EACCES) return false;
    }
  }
  return false;
}

std::optional<Door::Lane> Door::open_lane(KeyId only, int frames_most) {
  if (!has_spare_descriptors()) return std::nullopt;
  try {
    Lane lane{make_socket(context_, zmq::socket_type::push)};
    lane.socket.set(zmq::sockopt::sndhwm, frames_most);
    secure(lane.socket, only);
    if (!bind_some(lane.socket, lane.port)) return std::nullopt;
    return lane;
  } catch (const zmq::error_t&) {
    return std::nullopt;  // no socket, no descriptor
  }
}

}  // namespace workpool::dispatcher
