// SPDX-License-Identifier: MIT
// What libzmq asks before it lets a peer in, and what we answer (rfc.zeromq.org/spec/27, ZAP 1.0). Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/keys.h"
#include "dispatcher/core/key_id.h"

namespace workpool::dispatcher {

// A socket's domain says whom it lets in: everybody with a valid key, or one key only.
std::string zap_domain(KeyId only);

struct ZapRequest {
  std::string id;
  std::string address;  // of the peer, for people; empty over Unix sockets
  KeyId only;           // of the domain
  PublicKey key;
};

// `frames`: of one request, without the delimiter. Returns nullopt if it is no request for a key of CURVE at
// a domain of ours: such a peer must be refused.
std::optional<ZapRequest> parse_zap_request(const std::vector<std::string_view>& frames);

enum class ZapVerdict : std::uint8_t { kOk, kLater, kRefused };
// The frames of the answer; `user` counts only if the peer may come in. Whoever is to come later is
// disconnected without a word.
std::vector<std::string> zap_answer(std::string_view id, ZapVerdict verdict, KeyId user = {});

// "10.0.0.7" of "::ffff:10.0.0.7", as a socket for both IPv4 and IPv6 calls it; others as they are.
std::string plain_address(std::string_view address);

// The key of a message, from the User-Id that libzmq keeps with it. nullopt if it is none of ours.
std::optional<KeyId> key_of_user(std::string_view user_id);

}  // namespace workpool::dispatcher
