// SPDX-License-Identifier: MIT
// Addresses as people write them. Pure.
//
// An address may also be a folder of this machine, "ipc:///FOLDER", with Unix sockets that have numbers like
// ports. Its owner alone may enter it. Everything below that takes a host takes the path of a folder, too.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace workpool {

// "tcp://HOST:PORT". HOST is a name, an IPv4 address, an IPv6 address in brackets, or `*` (every address).
struct Address {
  std::string host;          // without brackets; or the absolute path of a folder
  std::uint16_t port = 0;    // 0 only if `allow_port_zero`, and for a folder
  std::string text() const;  // back to tcp://… or ipc://…
  bool operator==(const Address&) const = default;
};
// Whether `host` is the path of a folder.
inline bool is_folder(std::string_view host) { return !host.empty() && host.front() == '/'; }
// The path of a Unix socket has at most 107 bytes (sun_path in unix(7)); its number needs 6 of them.
inline constexpr std::size_t kFolderBytesMost = 101;
// The registration socket of a folder has this number.
inline constexpr std::uint16_t kFolderPort = 0;

// Returns "tcp://HOST:PORT" with an IPv6 host in brackets, or "ipc://FOLDER/PORT": what ZeroMQ binds and
// connects to.
std::string endpoint(const std::string& host, std::uint16_t port);
// Returns nullopt if `text` is no such address. `allow_port_zero`: port 0 stands for any free port.
std::optional<Address> parse_address(std::string_view text, bool allow_port_zero = false);
// Whether `host` is a literal loopback address: 127.0.0.0/8, ::1 or ::ffff:127.0.0.0/104. False for a name.
bool is_loopback_literal(const std::string& host);
// Whether `host` is a literal IPv4 or IPv6 address, `*` or a folder rather than a name.
bool is_literal(const std::string& host);

}  // namespace workpool
