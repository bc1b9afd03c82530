// SPDX-License-Identifier: MIT
#include "common/base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

namespace workpool {
namespace {

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

bool is_letter(char letter) { return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z'); }

bool parse_ipv6(const std::string& host, in6_addr& address) {
  // The zone in "fe80::1%eth0" is left for the system to judge.
  return inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &address) == 1;
}

bool parse_ipv4(const std::string& host, in_addr& address) {
  return inet_pton(AF_INET, host.c_str(), &address) == 1;
}

bool is_host_name(std::string_view host) {
  if (host.empty() || host.size() > 253 || host.front() == '-' || host.front() == '.') return false;
  return std::all_of(host.begin(), host.end(), [](char letter) {
    return is_letter(letter) || is_digit(letter) || letter == '-' || letter == '.' || letter == '_';
  });
}

bool is_host(const std::string& host, bool bracketed) {
  in6_addr v6{};
  if (bracketed) return host.find(']') == std::string::npos && parse_ipv6(host, v6);
  if (host == "*") return true;
  in_addr v4{};
  const bool numeric = host.find_first_not_of("0123456789.") == std::string::npos;
  return numeric ? parse_ipv4(host, v4) : is_host_name(host);  // 10.0.0.300 is a slip, not a name
}

}  // namespace

std::string endpoint(const std::string& host, std::uint16_t port) {
  if (is_folder(host)) return "ipc://" + host + '/' + std::to_string(port);
  const bool bracket = host.find(':') != std::string::npos;
  return "tcp://" + (bracket ? '[' + host + ']' : host) + ':' + std::to_string(port);
}

std::string Address::text() const { return is_folder(host) ? "ipc://" + host : endpoint(host, port); }

std::optional<Address> parse_address(std::string_view text, bool allow_port_zero) {
  constexpr std::string_view kScheme = "tcp://";
  constexpr std::string_view kFolderScheme = "ipc://";
  if (text.starts_with(kFolderScheme)) {
    text.remove_prefix(kFolderScheme.size());
    const bool usable = is_folder(text) && text.size() > 1 && text.size() <= kFolderBytesMost &&
                        text.find('\0') == std::string_view::npos;
    return usable ? std::optional(Address{std::string(text), kFolderPort}) : std::nullopt;
  }
  if (text.substr(0, kScheme.size()) != kScheme) return std::nullopt;
  text.remove_prefix(kScheme.size());
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port_text = text.substr(colon + 1);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);

  Address address{std::string(host), 0};
  if (!is_host(address.host, bracketed)) return std::nullopt;
  const auto parsed = std::from_chars(port_text.data(), port_text.data() + port_text.size(), address.port);
  if (parsed.ec != std::errc{} || parsed.ptr != port_text.data() + port_text.size()) return std::nullopt;
  if (address.port == 0 && !allow_port_zero) return std::nullopt;
  return address;
}

bool is_loopback_literal(const std::string& host) {
  in_addr v4{};
  if (parse_ipv4(host, v4)) return ntohl(v4.s_addr) >> 24 == 127;
  in6_addr v6{};
  if (!parse_ipv6(host, v6)) return false;
  static constexpr std::array<unsigned char, 13> kMapped127{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127};
  return IN6_IS_ADDR_LOOPBACK(&v6) || std::memcmp(&v6, kMapped127.data(), kMapped127.size()) == 0;
}

bool is_literal(const std::string& host) {
  in_addr v4{};
  in6_addr v6{};
  return host == "*" || is_folder(host) || parse_ipv4(host, v4) || parse_ipv6(host, v6);
}

}  // namespace workpool
