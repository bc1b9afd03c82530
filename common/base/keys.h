// SPDX-License-Identifier: MIT
// The keys that dispatcher and workers know each other by: Curve25519, as CURVE of ZeroMQ uses it. A secret
// key is wiped when its owner goes. Only join_key_text and the writer of key files turn one into text, and no
// message of a parser holds any of the text that it was given. Making keys is common/io/random_key.h's. Pure.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <variant>

#include "common/base/ids.h"

namespace workpool {

inline constexpr std::size_t kKeyBytes = 32;
inline constexpr std::size_t kKeyLetters = 43;      // of 32 bytes in base64url without padding
inline constexpr std::size_t kJoinKeyLetters = 90;  // "wp1-" and 86 letters of 64 bytes

using KeyBytes = std::array<std::uint8_t, kKeyBytes>;

struct PublicKey {
  KeyBytes bytes{};
  bool operator==(const PublicKey&) const = default;
  std::strong_ordering operator<=>(const PublicKey&) const = default;
};

class SecretKey {
 public:
  // The caller wipes its own copy of `bytes`: see wipe().
  explicit SecretKey(const KeyBytes& bytes) : bytes_(bytes) {}
  SecretKey(SecretKey&& other) noexcept;
  SecretKey& operator=(SecretKey&& other) noexcept;
  ~SecretKey();

  // Said aloud, so that no copy is made by accident.
  SecretKey copy() const { return SecretKey(bytes_); }
  // That which zmq_curve_public finds for it.
  PublicKey public_key() const;
  // For ZMQ_CURVE_SECRETKEY and the writers of keys only: never for a log, a message or an argument.
  const KeyBytes& bytes() const { return bytes_; }
  bool operator==(const SecretKey& other) const;  // takes the same time for all keys

 private:
  KeyBytes bytes_;
};

// All that a worker needs to join: whom it talks to, and who it is.
struct JoinKey {
  PublicKey dispatcher;
  SecretKey worker;
};

// 90 letters, a secret: the caller wipes it.
std::string join_key_text(const JoinKey& key);

// White space around the key is ignored. Returns what is wrong with `text`, for people, to follow its name:
// "is cut short: it has 80 of 90 letters".
std::variant<JoinKey, std::string> parse_join_key(std::string_view text);

// Short, to tell keys apart in logs and lists: "3f9a-77c2-01be-9d44", of BLAKE2b-256.
std::string fingerprint(const PublicKey& key);

// Base64url without padding, 43 letters.
void append_key_letters(std::string& out, const KeyBytes& bytes);
// The inverse. Returns false if `letters` is nothing that append_key_letters writes; `bytes` are then zeros.
bool read_key_letters(std::string_view letters, KeyBytes& bytes);

// Overwrites what a secret stood in; the compiler cannot leave it out. Of a string all of its capacity, and
// it is empty then.
void wipe(KeyBytes& bytes);
void wipe(std::string& text);

// Wipes a string, however its scope is left. The string outlives it.
class WipedAtEnd {
 public:
  explicit WipedAtEnd(std::string& text) : text_(text) {}
  ~WipedAtEnd() { wipe(text_); }
  WipedAtEnd(const WipedAtEnd&) = delete;
  WipedAtEnd& operator=(const WipedAtEnd&) = delete;

 private:
  std::string& text_;
};

}  // namespace workpool

// Of all bytes: those of real keys are random, but a peer can claim any.
template <>
struct std::hash<workpool::PublicKey> {
  std::size_t operator()(const workpool::PublicKey& key) const noexcept {
    return workpool::hash128(key.bytes.data(), key.bytes.size()).low;
  }
};
