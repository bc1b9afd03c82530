// SPDX-License-Identifier: MIT
#include "dispatcher/core/zap.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace workpool::dispatcher {
namespace {

constexpr std::string_view kVersion = "1.0";
constexpr std::string_view kCurve = "CURVE";
constexpr std::string_view kAnyKey = "workpool";
constexpr std::string_view kOneKey = "workpool-key-";
// version, request id, domain, address, identity, mechanism, key
constexpr std::size_t kFrames = 7;

std::optional<KeyId> read_id(std::string_view digits) {
  KeyId id;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), id.value);
  const bool whole = read.ec == std::errc{} && read.ptr == digits.data() + digits.size();
  return whole && digits.front() != '0' ? std::optional(id) : std::nullopt;
}

std::optional<KeyId> read_domain(std::string_view domain) {
  if (domain == kAnyKey) return KeyId{};
  return domain.starts_with(kOneKey) ? read_id(domain.substr(kOneKey.size())) : std::nullopt;
}

}  // namespace

std::string zap_domain(KeyId only) {
  return only == KeyId{} ? std::string(kAnyKey) : std::string(kOneKey) + std::to_string(only.value);
}

std::optional<ZapRequest> parse_zap_request(const std::vector<std::string_view>& frames) {
  if (frames.size() != kFrames || frames[0] != kVersion || frames[5] != kCurve) return std::nullopt;
  const auto only = read_domain(frames[2]);
  if (!only || frames[6].size() != kKeyBytes) return std::nullopt;
  ZapRequest request{std::string(frames[1]), plain_address(frames[3]), *only, {}};
  std::memcpy(request.key.bytes.data(), frames[6].data(), kKeyBytes);
  return request;
}

std::vector<std::string> zap_answer(std::string_view id, ZapVerdict verdict, KeyId user) {
  const std::string version(kVersion);
  const std::string asked(id);
  switch (verdict) {
    case ZapVerdict::kOk:
      return {version, asked, "200", "OK", std::to_string(user.value), ""};
    case ZapVerdict::kLater:
      return {version, asked, "300", "too many connections of this key", "", ""};
    case ZapVerdict::kRefused:
      break;
  }
  return {version, asked, "400", "this key may not come in", "", ""};
}

std::string plain_address(std::string_view address) {
  constexpr std::string_view kMapped = "::ffff:";
  const bool is_mapped = address.starts_with(kMapped) && address.find('.') != std::string_view::npos;
  return std::string(is_mapped ? address.substr(kMapped.size()) : address);
}

std::optional<KeyId> key_of_user(std::string_view user_id) { return read_id(user_id); }

}  // namespace workpool::dispatcher
