// SPDX-License-Identifier: MIT
#include "common/io/names.h"

#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include "common/base/address.h"
#include "common/io/clock.h"
#include "common/io/descriptor.h"
#include "common/io/threads.h"

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

// Rounded to the nearest second, but at least 1.
std::string whole_seconds(Duration waited) {
  return std::to_string(std::max<Duration::rep>(1, (waited + milliseconds(500)) / seconds(1))) + " s";
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

// ---- a look-up that can be abandoned ----

struct Lookup::Shared {
  std::mutex mutex;
  std::condition_variable answered;
  std::optional<Resolved> answer;  // guarded by mutex

  void put(Resolved resolved) {
    const std::lock_guard lock(mutex);
    answer = std::move(resolved);
    answered.notify_all();
  }
};

Lookup::Lookup(const std::string& host, std::uint16_t port, Resolver resolver)
    : shared_(std::make_shared<Shared>()) {
  if (is_literal(host)) {
    shared_->put(resolver(host, port));
    return;
  }
  try {
    start_thread([shared = shared_, host, port, resolver] { shared->put(resolver(host, port)); }).detach();
  } catch (const std::system_error& error) {
    shared_->put({{}, std::string("cannot look a name up: ") + error.what()});
  }
}

std::optional<Resolved> Lookup::wait(Time until, const std::atomic<bool>& stop) const {
  constexpr Duration kSlice = milliseconds(50);  // how fast a stop is noticed
  std::unique_lock lock(shared_->mutex);
  while (!shared_->answer && !stop) {
    const Duration left = until - boot_time();
    if (left.count() <= 0) break;
    shared_->answered.wait_for(lock, std::min<Duration>(left, kSlice));
  }
  return shared_->answer;
}

std::string no_answer_for(const std::string& host, Duration waited) {
  return "the name service has not answered for \"" + host + "\" within " + whole_seconds(waited);
}

// ---- does a dispatcher answer there ----

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
  return first == kSignature ? "" : "what listens there is not a workpool dispatcher";
}

}  // namespace workpool
