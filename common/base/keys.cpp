// SPDX-License-Identifier: MIT
#include "common/base/keys.h"

#include <sodium/crypto_generichash.h>
#include <sodium/crypto_scalarmult.h>
#include <sodium/utils.h>

#include <algorithm>
#include <optional>

#include "common/base/check.h"

namespace workpool {
namespace {

constexpr int kBase64Url = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
constexpr std::string_view kJoinKeyStart = "wp1-";

static_assert(crypto_scalarmult_BYTES == kKeyBytes && crypto_scalarmult_SCALARBYTES == kKeyBytes);

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_key_letter(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

// "wp2-", "wp17-", …
bool starts_as_a_later_version(std::string_view text) {
  if (!text.starts_with("wp")) return false;
  std::size_t at = 2;
  while (at < text.size() && is_digit(text[at])) ++at;
  return at > 2 && at < text.size() && text[at] == '-' && text[2] != '0';
}

// Why the letters behind "wp1-" are no key, or "".
std::string problem_of(std::string_view text) {
  const std::string_view letters = text.substr(kJoinKeyStart.size());
  if (!std::all_of(letters.begin(), letters.end(), is_key_letter)) return "has a letter that no key has";
  const std::string of = std::to_string(text.size()) + " of " + std::to_string(kJoinKeyLetters) + " letters";
  if (text.size() < kJoinKeyLetters) return "is cut short: it has " + of;
  if (text.size() > kJoinKeyLetters)
    return "is too long: it has " + std::to_string(text.size()) + " letters instead of " +
           std::to_string(kJoinKeyLetters);
  return "";
}

}  // namespace

SecretKey::SecretKey(SecretKey&& other) noexcept : bytes_(other.bytes_) { wipe(other.bytes_); }

SecretKey& SecretKey::operator=(SecretKey&& other) noexcept {
  if (this != &other) {
    bytes_ = other.bytes_;
    wipe(other.bytes_);
  }
  return *this;
}

SecretKey::~SecretKey() { wipe(bytes_); }

PublicKey SecretKey::public_key() const {
  PublicKey key;
  CHECK(crypto_scalarmult_base(key.bytes.data(), bytes_.data()) == 0);
  return key;
}

bool SecretKey::operator==(const SecretKey& other) const {
  return sodium_memcmp(bytes_.data(), other.bytes_.data(), kKeyBytes) == 0;
}

std::string join_key_text(const JoinKey& key) {
  std::array<std::uint8_t, 2 * kKeyBytes> bytes;
  std::copy(key.dispatcher.bytes.begin(), key.dispatcher.bytes.end(), bytes.begin());
  std::copy(key.worker.bytes().begin(), key.worker.bytes().end(), bytes.begin() + kKeyBytes);
  // One allocation, so that no piece is left behind; a string has room for the NUL that is written.
  std::string text(kJoinKeyLetters, '\0');
  std::copy(kJoinKeyStart.begin(), kJoinKeyStart.end(), text.begin());
  sodium_bin2base64(text.data() + kJoinKeyStart.size(), kJoinKeyLetters - kJoinKeyStart.size() + 1,
                    bytes.data(), bytes.size(), kBase64Url);
  sodium_memzero(bytes.data(), bytes.size());
  return text;
}

std::variant<JoinKey, std::string> parse_join_key(std::string_view text) {
  text = trimmed(text);
  if (text.empty()) return "is empty: a join key begins with wp1-";
  if (!text.starts_with(kJoinKeyStart)) {
    return starts_as_a_later_version(text) ? "is of a newer version of workpool"
                                           : "is no join key: one begins with wp1-";
  }
  if (std::string problem = problem_of(text); !problem.empty()) return problem;
  std::array<std::uint8_t, 2 * kKeyBytes> bytes;
  const std::string_view letters = text.substr(kJoinKeyStart.size());
  std::size_t count = 0;
  // Refuses a last letter with bits that no byte has.
  const bool read = sodium_base642bin(bytes.data(), bytes.size(), letters.data(), letters.size(), nullptr,
                                      &count, nullptr, kBase64Url) == 0;
  std::optional<JoinKey> key;
  if (read && count == bytes.size()) {
    PublicKey dispatcher;
    std::copy_n(bytes.begin(), kKeyBytes, dispatcher.bytes.begin());
    KeyBytes worker;
    std::copy_n(bytes.begin() + kKeyBytes, kKeyBytes, worker.begin());
    key.emplace(JoinKey{dispatcher, SecretKey(worker)});
    wipe(worker);
  }
  sodium_memzero(bytes.data(), bytes.size());
  if (!key) return "is damaged: its last letter is none that a key ends with";
  return std::move(*key);
}

std::string fingerprint(const PublicKey& key) {
  std::array<std::uint8_t, crypto_generichash_BYTES> digest;
  static_assert(crypto_generichash_BYTES == 32);
  crypto_generichash(digest.data(), digest.size(), key.bytes.data(), key.bytes.size(), nullptr, 0);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < 8; ++i) {
    if (i > 0 && i % 2 == 0) text += '-';
    text += kHex[digest[i] >> 4];
    text += kHex[digest[i] & 15];
  }
  return text;
}

void append_key_letters(std::string& out, const KeyBytes& bytes) {
  std::array<char, kKeyLetters + 1> letters;
  sodium_bin2base64(letters.data(), letters.size(), bytes.data(), bytes.size(), kBase64Url);
  out.append(letters.data(), kKeyLetters);
  sodium_memzero(letters.data(), letters.size());
}

bool read_key_letters(std::string_view letters, KeyBytes& bytes) {
  std::size_t count = 0;
  const bool read = letters.size() == kKeyLetters &&
                    sodium_base642bin(bytes.data(), bytes.size(), letters.data(), letters.size(), nullptr,
                                      &count, nullptr, kBase64Url) == 0 &&
                    count == bytes.size();
  if (!read) wipe(bytes);
  return read;
}

void wipe(KeyBytes& bytes) { sodium_memzero(bytes.data(), bytes.size()); }

void wipe(std::string& text) {
  text.resize(text.capacity());  // within the capacity, so nothing moves
  sodium_memzero(text.data(), text.size());
  text.clear();
}

}  // namespace workpool
