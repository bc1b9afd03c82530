// SPDX-License-Identifier: MIT
// Addresses as people write them, and which of them may be used without keys: loopback addresses always, any
// other only with --insecure. Pure: a name is judged once it has been resolved.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace workpool {

// "tcp://HOST:PORT". HOST is a name, an IPv4 address, an IPv6 address in brackets, or `*` (every address).
struct Address {
  std::string host;          // without brackets
  std::uint16_t port = 0;    // 0 only if `allow_port_zero`
  std::string text() const;  // back to tcp://…
};
// Returns "tcp://HOST:PORT" with an IPv6 host in brackets: what ZeroMQ binds and connects to.
std::string endpoint(const std::string& host, std::uint16_t port);
// Returns nullopt if `text` is no such address. `allow_port_zero`: port 0 stands for any free port.
std::optional<Address> parse_address(std::string_view text, bool allow_port_zero = false);
// Whether `host` is a literal loopback address: 127.0.0.0/8, ::1 or ::ffff:127.0.0.0/104. False for a name.
bool is_loopback_literal(const std::string& host);
// Whether `host` is a literal IPv4 or IPv6 address (or `*`) rather than a name.
bool is_literal(const std::string& host);

// `literal`: an IPv4 or IPv6 address without brackets, or `*`. Returns "" if we may listen on it (connect to
// it), else one line that says why not and what to do.
std::string refusal_to_listen(const std::string& literal, bool insecure);
std::string refusal_to_dial(const std::string& literal, bool insecure);

}  // namespace workpool
