// SPDX-License-Identifier: MIT
#include "common/io/greeting.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "common/base/address.h"
#include "common/io/clock.h"
#include "common/io/descriptor.h"
#include "common/io/names.h"

namespace workpool {
namespace {

// The greeting of ZMTP 3: signature (10 bytes), version (2), mechanism (20, filled with zeros), as-server (1)
// and filler (31).
constexpr std::size_t kGreetingBytes = 64;
constexpr std::size_t kVersionEnd = 12;
constexpr std::size_t kMechanismBytes = 20;
constexpr std::size_t kMechanismEnd = kVersionEnd + kMechanismBytes;
constexpr std::uint8_t kSignatureFirst = 0xff;
constexpr std::uint8_t kSignatureLast = 0x7f;
constexpr std::uint8_t kMajor = 3;
constexpr std::uint8_t kMinor = 1;
using GreetingBytes = std::array<std::uint8_t, kGreetingBytes>;

GreetingBytes greeting_with(const std::string& mechanism) {
  GreetingBytes bytes{};
  bytes[0] = kSignatureFirst;
  bytes[8] = 1;
  bytes[9] = kSignatureLast;
  bytes[10] = kMajor;
  bytes[11] = kMinor;
  std::copy_n(mechanism.begin(), std::min(mechanism.size(), kMechanismBytes), bytes.begin() + kVersionEnd);
  return bytes;
}

// Returns false if `events` do not come before `end`, or `stop` is set.
bool wait_for(int fd, short events, Time end, const std::atomic<bool>& stop) {
  while (!stop) {
    const Duration left = end - boot_time();
    if (left.count() <= 0) return false;
    pollfd wait{fd, events, 0};
    const Duration slice = std::min<Duration>(left, milliseconds(50));
    if (::poll(&wait, 1, static_cast<int>(slice / milliseconds(1)) + 1) > 0) return true;
  }
  return false;
}

// Where a socket connects to.
struct Target {
  sockaddr_storage address{};
  socklen_t size = 0;
};

// `problem`: why there is none.
Target target_of(const std::string& literal, std::uint16_t port, std::string& problem) {
  Target target;
  if (is_folder(literal)) {
    sockaddr_un local{};
    local.sun_family = AF_UNIX;
    const std::string path = literal + '/' + std::to_string(port);
    if (path.size() >= sizeof local.sun_path) {
      problem = std::strerror(ENAMETOOLONG);
      return target;
    }
    std::memcpy(local.sun_path, path.c_str(), path.size() + 1);
    std::memcpy(&target.address, &local, sizeof local);
    target.size = sizeof local;
    return target;
  }
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(literal.c_str(), std::to_string(port).c_str(), &hints, &found);
      error != 0) {
    problem = ::gai_strerror(error);
    return target;
  }
  std::memcpy(&target.address, found->ai_addr, found->ai_addrlen);
  target.size = found->ai_addrlen;
  ::freeaddrinfo(found);
  return target;
}

// A socket that is connected, or why there is none.
struct Connection {
  Descriptor socket;
  std::string problem;
};

Connection connect_to(const std::string& literal, std::uint16_t port, Duration limit, Time end,
                      const std::atomic<bool>& stop) {
  Connection made;
  const Target target = target_of(literal, port, made.problem);
  if (!made.problem.empty()) return made;
  made.socket = Descriptor(::socket(target.address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  const int fd = made.socket.get();
  // Behind the path of a folder another user may have put a socket of his own.
  const auto check_owner = [&] {
    ucred peer{};
    socklen_t peer_size = sizeof peer;
    if (is_folder(literal) && (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &peer_size) != 0 ||
                               (peer.uid != ::geteuid() && peer.uid != 0)))
      made.problem = "what listens there belongs to another user";
  };
  if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&target.address), target.size) == 0) {
    if (fd < 0) made.problem = std::strerror(errno);
    if (fd >= 0) check_owner();
    return made;
  }
  if (errno != EINPROGRESS) {
    made.problem = std::strerror(errno);
    return made;
  }
  const Time begin = boot_time();
  if (!wait_for(fd, POLLOUT, std::min(end, begin + limit), stop)) {
    made.problem = stop ? "given up" : "no answer within " + whole_seconds(boot_time() - begin);
    return made;
  }
  int result = 0;
  socklen_t size = sizeof result;
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &result, &size);
  if (result != 0) made.problem = std::strerror(result);
  if (result == 0) check_owner();
  return made;
}

// Reads into `bytes` up to the end of the mechanism. Returns what is wrong, or "".
std::string read_greeting(int fd, Duration limit, Time end, const std::atomic<bool>& stop,
                          GreetingBytes& bytes) {
  const Time connected = boot_time();
  for (std::size_t have = 0; have < kMechanismEnd;) {
    if (!wait_for(fd, POLLIN, std::min(end, connected + limit), stop)) {
      return stop ? "given up"
                  : "accepted the connection, but gave no answer within " +
                        whole_seconds(boot_time() - connected) + " (is it a dispatcher?)";
    }
    const ssize_t size = ::recv(fd, bytes.data() + have, kMechanismEnd - have, 0);
    if (size <= 0) return "the connection was closed without an answer";
    have += static_cast<std::size_t>(size);
    if (bytes[0] != kSignatureFirst) return "what listens there is not a workpool dispatcher";
  }
  const bool is_ours = bytes[9] == kSignatureLast && bytes[10] >= kMajor;
  return is_ours ? "" : "what listens there is not a workpool dispatcher";
}

}  // namespace

// A peer sends its mechanism once it has our version, and closes as soon as it sees that ours is another one.
Greeting greeting(const std::string& literal, std::uint16_t port, const std::string& mechanism,
                  Duration connect_limit, Duration greeting_limit, Time end, const std::atomic<bool>& stop) {
  const Connection made = connect_to(literal, port, connect_limit, end, stop);
  if (!made.problem.empty()) return {made.problem, ""};
  const int fd = made.socket.get();
  const GreetingBytes ours = greeting_with(mechanism);
  static_cast<void>(::send(fd, ours.data(), kVersionEnd, MSG_NOSIGNAL));
  GreetingBytes theirs{};
  Greeting answer{read_greeting(fd, greeting_limit, end, stop, theirs), ""};
  if (!answer.problem.empty()) return answer;
  const auto* const name = reinterpret_cast<const char*>(theirs.data() + kVersionEnd);
  answer.mechanism = std::string(name, ::strnlen(name, kMechanismBytes));
  if (answer.mechanism != mechanism)
    static_cast<void>(::send(fd, ours.data() + kVersionEnd, kGreetingBytes - kVersionEnd, MSG_NOSIGNAL));
  return answer;
}

}  // namespace workpool
