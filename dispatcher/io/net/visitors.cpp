// SPDX-License-Identifier: MIT
#include "dispatcher/io/net/visitors.h"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <utility>

namespace workpool::dispatcher {
namespace {

// About a millisecond of looking; 1,000 workers have 6,000 descriptors.
constexpr std::size_t kLookMost = 2048;
constexpr Duration kPassLeast = seconds(1);
constexpr Duration kNuisanceWindow = seconds(10);
constexpr std::uint8_t kEstablished = 1;  // TCP_ESTABLISHED of <netinet/tcp.h>, which <linux/tcp.h> replaces

std::optional<std::uint16_t> local_port(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return std::nullopt;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return std::nullopt;
}

struct Facts {
  std::uint64_t peer = 0;      // a number for its address and port
  std::uint64_t received = 0;  // bytes, ever
  // For how long nothing has come; nullopt if something that came has not been read yet.
  std::optional<Duration> silence;
};

// nullopt if it is no open connection.
std::optional<Facts> facts_of(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_state != kEstablished)
    return std::nullopt;
  sockaddr_storage address{};
  socklen_t address_size = sizeof address;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &address_size) != 0) return std::nullopt;
  Facts facts;
  facts.peer = std::hash<std::string_view>()({reinterpret_cast<const char*>(&address), address_size});
  facts.received = info.tcpi_bytes_received;
  int unread = 0;
  if (::ioctl(fd, FIONREAD, &unread) == 0 && unread == 0)
    facts.silence = milliseconds(info.tcpi_last_data_recv);
  return facts;
}

}  // namespace

Visitors::Visitors(const std::vector<PortRules>& rules) : descriptors_(::opendir("/proc/self/fd")) {
  for (const PortRules& one : rules) add(one);
}

// Returns whether the connection is to be shut down.
bool Visitors::look_at(int fd, Time now) {
  const auto port = local_port(fd);
  if (!port) return false;
  const auto found = rules_.find(*port);
  if (found == rules_.end()) return false;
  const PortRules& rules = found->second;
  const auto facts = facts_of(fd);
  if (!facts) return false;
  Visitor& visitor = visitors_[fd];
  if (visitor.pass == 0 || visitor.peer != facts->peer || visitor.port != *port)
    visitor = {facts->peer, *port, now};
  visitor.pass = pass_;
  visitor.is_newcomer = facts->received < rules.newcomer_bytes;
  if (rules.stay_most.count() > 0 && now >= visitor.since + rules.stay_most) return true;
  const bool silent =
      rules.silence_most.count() > 0 && facts->silence && *facts->silence >= rules.silence_most;
  return std::exchange(visitor.was_silent, silent) && silent;
}

// It was looked at up to a second ago, and its number may be that of a new lane's listening socket by now:
// libzmq aborts if such a socket is shut down. This thread makes those, so none comes in between.
bool Visitors::shut_down(int fd) const {
  const auto facts = facts_of(fd);
  return facts && facts->peer == visitors_.at(fd).peer && ::shutdown(fd, SHUT_RDWR) == 0;
}

std::size_t Visitors::end_pass(Time now) {
  std::erase_if(visitors_, [&](const auto& entry) { return entry.second.pass != pass_; });
  std::erase_if(nuisances_, [&](const auto& entry) { return now >= entry.second.since + kNuisanceWindow; });
  std::size_t closed = 0;
  std::unordered_map<std::uint16_t, std::vector<std::pair<Time, int>>> newcomers;
  for (const auto& [fd, visitor] : visitors_) {
    if (visitor.is_newcomer) newcomers[visitor.port].emplace_back(visitor.since, fd);
  }
  for (auto& [port, came] : newcomers) {
    const auto rules = rules_.find(port);
    const std::size_t most = rules == rules_.end() ? 0 : rules->second.newcomers_most;
    if (most == 0 || came.size() <= most) continue;
    std::sort(came.begin(), came.end());
    came.resize(came.size() - most);
    for (const auto& [since, fd] : came) closed += shut_down(fd) ? 1 : 0;
  }
  ++pass_;
  pass_began_ = now;
  ::rewinddir(descriptors_.get());
  return closed;
}

// Between the check and the shutdown the I/O thread may close the descriptor, and a new connection may get
// its number. If that one is hit, its worker dials again.
std::size_t Visitors::look(Time now) {
  if (descriptors_ == nullptr) return 0;
  std::size_t closed = 0;
  for (std::size_t i = 0; i < kLookMost; ++i) {
    const dirent* entry = ::readdir(descriptors_.get());
    if (entry == nullptr) return now < pass_began_ + kPassLeast ? closed : closed + end_pass(now);
    char* end = nullptr;
    const int fd = static_cast<int>(std::strtol(entry->d_name, &end, 10));
    if (end == entry->d_name || !look_at(fd, now)) continue;
    visitors_.erase(fd);
    closed += ::shutdown(fd, SHUT_RDWR) == 0 ? 1 : 0;
  }
  return closed;
}

std::optional<std::uint64_t> Visitors::peer_of(int fd) const {
  const auto port = local_port(fd);
  if (!port || !rules_.contains(*port)) return std::nullopt;
  const auto facts = facts_of(fd);
  return facts ? std::optional(facts->peer) : std::nullopt;
}

// What was sent before the connection was closed is still read after that, so its number may be another's by
// now: it is closed only if the peer is still the same.
bool Visitors::unwanted(int fd, std::size_t bytes, Time now) {
  Nuisance& nuisance = nuisances_[fd];
  if (nuisance.frames == 0 || now >= nuisance.since + kNuisanceWindow) nuisance = {peer_of(fd), now};
  ++nuisance.frames;
  nuisance.bytes += bytes;
  if (!nuisance.peer || (nuisance.frames <= kUnwantedMost && nuisance.bytes <= kUnwantedBytesMost))
    return false;
  const bool closed = peer_of(fd) == nuisance.peer && ::shutdown(fd, SHUT_RDWR) == 0;
  nuisance.peer.reset();  // what is left of it is not counted against the next one with this number
  return closed;
}

}  // namespace workpool::dispatcher
