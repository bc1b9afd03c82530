// SPDX-License-Identifier: MIT
#include "dispatcher/io/net/reachable_host.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#include "common/base/address.h"
#include "common/io/clock.h"
#include "common/io/names.h"

namespace workpool::dispatcher {

namespace {

constexpr Duration kResolveLimit = seconds(1);

// The text of an address that others may be able to reach; nullopt for loopback, link-local and other
// families.
std::optional<std::string> usable_text(const sockaddr* address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  const char* shown = nullptr;
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    shown = ::inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
  } else if (address->sa_family == AF_INET6) {
    const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
    if (IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr)) return std::nullopt;
    shown = ::inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
  }
  if (shown == nullptr || is_loopback_literal(shown)) return std::nullopt;
  return shown;
}

// Whether `name` soon resolves here to an address that others may reach.
bool resolves_to_others_soon(const std::string& name, int family) {
  const std::atomic<bool> never{false};
  const auto found = Lookup(name, 1).wait(boot_time() + kResolveLimit, never);
  return found && std::any_of(found->hosts.begin(), found->hosts.end(), [family](const std::string& host) {
           const bool is_ipv6 = host.find(':') != std::string::npos;
           return (family == AF_UNSPEC || !is_ipv6) && !is_loopback_literal(host) &&
                  !host.starts_with("fe80:");
         });
}

// The first usable address; only of `interface` if that is not empty.
std::optional<std::string> interface_address(const std::string& interface, int family) {
  ifaddrs* found = nullptr;
  if (::getifaddrs(&found) != 0) return std::nullopt;
  std::optional<std::string> first;
  for (const ifaddrs* entry = found; entry != nullptr && !first; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    if (!interface.empty() && interface != entry->ifa_name) continue;
    if (entry->ifa_addr->sa_family == family) first = usable_text(entry->ifa_addr);
  }
  ::freeifaddrs(found);
  return first;
}

std::optional<std::string> best_address(int family) {
  std::ifstream in("/proc/net/route");
  std::ostringstream table;
  table << in.rdbuf();
  const std::string interface = default_route_interface(table.str());
  if (!interface.empty()) {
    if (auto address = interface_address(interface, family)) return address;
  }
  return interface_address("", family);
}

}  // namespace

std::string default_route_interface(const std::string& route_table) {
  std::istringstream in(route_table);
  std::string line;
  std::getline(in, line);  // the heading
  std::string best;
  std::uint64_t best_metric = 0;
  while (std::getline(in, line)) {
    std::istringstream fields(line);
    std::string interface;
    std::string destination;
    std::string gateway;
    std::string mask;
    std::uint64_t flags = 0;
    std::uint64_t metric = 0;
    std::string skipped;
    fields >> interface >> destination >> gateway >> std::hex >> flags >> std::dec >> skipped >> skipped >>
        metric >> mask;
    constexpr std::uint64_t kRouteUp = 1;
    if (!fields || destination != "00000000" || mask != "00000000" || (flags & kRouteUp) == 0) continue;
    if (best.empty() || metric < best_metric) {
      best = interface;
      best_metric = metric;
    }
  }
  return best;
}

std::string reachable_host(const std::string& bound) {
  if (bound != "0.0.0.0" && bound != "::" && bound != "*") return bound;
  // A socket bound to 0.0.0.0 cannot be reached under an IPv6 address.
  const int family = bound == "0.0.0.0" ? AF_INET : AF_UNSPEC;
  std::array<char, 256> buffer{};
  if (::gethostname(buffer.data(), buffer.size() - 1) == 0) {
    std::string name = buffer.data();
    if (parse_address("tcp://" + name + ":1") && resolves_to_others_soon(name, family)) return name;
  }
  if (auto address = best_address(AF_INET)) return *address;
  if (family != AF_INET) {
    if (auto address = best_address(AF_INET6)) return *address;
  }
  return "127.0.0.1";
}

}  // namespace workpool::dispatcher
