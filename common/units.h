// SPDX-License-Identifier: MIT
// Durations, sizes and addresses as people write them. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "common/time.h"

namespace workpool {

// "200ms", "1.5s", "5m", "1h30m", "2d"; a bare number is seconds. At most 10 years. Nothing where it is not
// one.
std::optional<Duration> parse_duration(std::string_view text);
// The shortest text that parse_duration reads back: "1h30m", "1.5s", "200ms", "0s".
std::string format_duration(Duration duration);

// "64KiB", "1GB", "4096", "4096B"; KiB, MiB, GiB, TiB are powers of 1024, kB (or KB), MB, GB, TB of 1000.
// Whole bytes.
std::optional<std::uint64_t> parse_size(std::string_view text);
// "64 KiB", "1.5 GiB", "512 B".
std::string format_size(std::uint64_t bytes);

// "tcp://HOST:PORT"; HOST a name, an IPv4 address, an IPv6 address in brackets, or `*` (every address).
struct Address {
  std::string host;          // without brackets
  std::uint16_t port = 0;    // 0 only where `allow_port_zero`
  std::string text() const;  // back to tcp://…
};
std::optional<Address> parse_address(std::string_view text, bool allow_port_zero = false);
// Whether a literal address is of this host only: 127.0.0.0/8, ::1, ::ffff:127.0.0.0/104. A name is not
// literal: false.
bool is_loopback_literal(const std::string& host);
// Whether `host` is a literal IPv4 or IPv6 address (or `*`) rather than a name.
bool is_literal(const std::string& host);

}  // namespace workpool
