// SPDX-License-Identifier: MIT
#include "common/io/names.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include "common/base/address.h"
#include "common/io/clock.h"
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

}  // namespace

std::string whole_seconds(Duration waited) {
  return std::to_string(std::max<Duration::rep>(1, (waited + milliseconds(500)) / seconds(1))) + " s";
}

Resolved resolve(const std::string& host, std::uint16_t port) {
  if (is_folder(host)) return {{host}, ""};
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

}  // namespace workpool
