// SPDX-License-Identifier: MIT
#include "dispatcher/io/net/silent_peers.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <utility>

namespace workpool::dispatcher {
namespace {

// About a millisecond of looking; 1,000 workers have 6,000 descriptors.
constexpr std::size_t kLookMost = 2048;
constexpr Duration kPassLeast = seconds(1);

std::optional<std::uint16_t> local_port(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return std::nullopt;
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return std::nullopt;
}

// For how long nothing has been received; nullopt if it is no open connection, or if something that came has
// not been read yet.
std::optional<Duration> silence(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0 || info.tcpi_state != TCP_ESTABLISHED)
    return std::nullopt;
  int unread = 0;
  if (::ioctl(fd, FIONREAD, &unread) != 0 || unread > 0) return std::nullopt;
  return milliseconds(info.tcpi_last_data_recv);
}

}  // namespace

SilentPeers::SilentPeers(std::vector<Watched> ports)
    : ports_(std::move(ports)), descriptors_(::opendir("/proc/self/fd")) {}

bool SilentPeers::is_silent(int fd) const {
  const auto port = local_port(fd);
  if (!port) return false;
  const auto watched =
      std::find_if(ports_.begin(), ports_.end(), [&](const Watched& known) { return known.port == *port; });
  if (watched == ports_.end()) return false;
  const auto silent = silence(fd);
  return silent && *silent >= watched->limit;
}

// Between the check and the shutdown the I/O thread may close the descriptor, and a new connection may get
// its number. If that one is hit, its worker dials again.
std::size_t SilentPeers::look(Time now) {
  if (descriptors_ == nullptr) return 0;
  std::size_t closed = 0;
  for (std::size_t i = 0; i < kLookMost; ++i) {
    const dirent* entry = ::readdir(descriptors_.get());
    if (entry == nullptr) {
      if (now < pass_began_ + kPassLeast) break;
      pass_began_ = now;
      suspects_ = std::exchange(found_, {});
      std::sort(suspects_.begin(), suspects_.end());
      ::rewinddir(descriptors_.get());
      break;
    }
    char* end = nullptr;
    const int fd = static_cast<int>(std::strtol(entry->d_name, &end, 10));
    if (end == entry->d_name || !is_silent(fd)) continue;
    if (!std::binary_search(suspects_.begin(), suspects_.end(), fd)) {
      found_.push_back(fd);
    } else if (::shutdown(fd, SHUT_RDWR) == 0) {
      ++closed;
    }
  }
  return closed;
}

}  // namespace workpool::dispatcher
