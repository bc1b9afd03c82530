// SPDX-License-Identifier: MIT
#include "common/io/names.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "common/io/clock.h"
#include "common/io/descriptor.h"

namespace workpool {
namespace {

using AddressList = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

AddressList look_up(const std::string& host, std::uint16_t port, int flags, int& error) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &list);
  return {error == 0 ? list : nullptr, &::freeaddrinfo};
}

// As waited for, to the nearest second, and not none.
std::string whole_seconds(Duration waited) {
  return std::to_string(std::max<Duration::rep>(1, (waited + milliseconds(500)) / seconds(1))) + " s";
}

// False where `events` do not come before `end`, or `stop` is set.
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

}  // namespace

Resolved resolve(const std::string& host, std::uint16_t port) {
  Resolved resolved;
  int error = 0;
  const AddressList list = look_up(host, port, 0, error);
  for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
    char literal[NI_MAXHOST];
    if (::getnameinfo(at->ai_addr, at->ai_addrlen, literal, sizeof literal, nullptr, 0, NI_NUMERICHOST) != 0)
      continue;
    if (std::find(resolved.hosts.begin(), resolved.hosts.end(), literal) == resolved.hosts.end()) {
      resolved.hosts.emplace_back(literal);
    }
  }
  if (resolved.hosts.empty()) {
    resolved.problem =
        "the name \"" + host + "\" does not resolve: " + (error != 0 ? ::gai_strerror(error) : "no address");
  }
  return resolved;
}

std::string try_greeting(const std::string& literal, std::uint16_t port, Duration connect_limit,
                         Duration greeting_limit, Time end, const std::atomic<bool>& stop) {
  int error = 0;
  const AddressList list = look_up(literal, port, AI_NUMERICHOST, error);
  if (!list) return ::gai_strerror(error);
  const Descriptor socket(::socket(list->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (socket.get() < 0) return std::strerror(errno);
  if (::connect(socket.get(), list->ai_addr, list->ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return std::strerror(errno);
    const Time begin = boot_time();
    if (!wait_for(socket.get(), POLLOUT, std::min(end, begin + connect_limit), stop))
      return stop ? "given up" : "no answer within " + whole_seconds(boot_time() - begin);
    int result = 0;
    socklen_t size = sizeof result;
    ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &result, &size);
    if (result != 0) return std::strerror(result);
  }
  const Time connected = boot_time();
  if (!wait_for(socket.get(), POLLIN, std::min(end, connected + greeting_limit), stop)) {
    return stop ? "given up"
                : "accepted the connection, but gave no answer within " +
                      whole_seconds(boot_time() - connected) + " (is it a dispatcher?)";
  }
  constexpr unsigned char kSignature = 0xff;
  unsigned char first = 0;
  if (::recv(socket.get(), &first, 1, 0) != 1) return "the connection was closed without an answer";
  return first == kSignature ? "" : "what listens there is no workpool dispatcher";
}

}  // namespace workpool
