// SPDX-License-Identifier: MIT
#include "common/base/keys.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <unordered_set>
#include <utility>

namespace workpool {
namespace {

KeyBytes counting_from(std::uint8_t first) {
  KeyBytes bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::uint8_t>(first + i);
  return bytes;
}

JoinKey example() { return {PublicKey{counting_from(0)}, SecretKey(counting_from(32))}; }

const std::string kExample =
    "wp1-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0-Pw";

std::string problem_of(std::string_view text) {
  const auto parsed = parse_join_key(text);
  return std::holds_alternative<std::string>(parsed) ? std::get<std::string>(parsed) : "";
}

TEST(Keys, AJoinKeyIsOneWord) {
  EXPECT_EQ(join_key_text(example()), kExample);
  EXPECT_EQ(kExample.size(), kJoinKeyLetters);
  const auto parsed = parse_join_key(kExample);
  ASSERT_TRUE(std::holds_alternative<JoinKey>(parsed));
  EXPECT_EQ(std::get<JoinKey>(parsed).dispatcher, example().dispatcher);
  EXPECT_EQ(std::get<JoinKey>(parsed).worker, example().worker);
}

TEST(Keys, WhiteSpaceAroundAJoinKeyDoesNotMatter) {
  for (const std::string& text :
       {kExample + "\n", kExample + "\r\n", " \t" + kExample + "  ", "\n" + kExample})
    EXPECT_EQ(problem_of(text), "") << text;
}

TEST(Keys, WhatIsWrongWithAJoinKeyIsSaid) {
  EXPECT_EQ(problem_of(""), "is empty: a join key begins with wp1-");
  EXPECT_EQ(problem_of(" \n"), "is empty: a join key begins with wp1-");
  EXPECT_EQ(problem_of("hunter2"), "is no join key: one begins with wp1-");
  EXPECT_EQ(problem_of("WP1-" + kExample.substr(4)), "is no join key: one begins with wp1-");
  EXPECT_EQ(problem_of("wp2-abc"), "is of a newer version of workpool");
  EXPECT_EQ(problem_of("wp10-abc"), "is of a newer version of workpool");
  EXPECT_EQ(problem_of("wp-abc"), "is no join key: one begins with wp1-");
  EXPECT_EQ(problem_of(kExample.substr(0, 80)), "is cut short: it has 80 of 90 letters");
  EXPECT_EQ(problem_of("wp1-"), "is cut short: it has 4 of 90 letters");
  EXPECT_EQ(problem_of(kExample + "A"), "is too long: it has 91 letters instead of 90");
  EXPECT_EQ(problem_of(kExample.substr(0, 40) + "\n" + kExample.substr(40)), "has a letter that no key has");
  for (const char wrong : {'+', '/', '=', '.', '\0', '\xff', ' '}) {
    std::string text = kExample;
    text[50] = wrong;
    EXPECT_EQ(problem_of(text), "has a letter that no key has") << wrong;
  }
}

// Otherwise two texts would be the same key, and a list of texts would miss one.
TEST(Keys, AKeyHasOneTextOnly) {
  for (const char last : std::string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")) {
    std::string text = kExample;
    text.back() = last;
    const bool fits = std::string("AQgw").find(last) != std::string::npos;
    EXPECT_EQ(problem_of(text), fits ? "" : "is damaged: its last letter is none that a key ends with")
        << last;
  }
  KeyBytes bytes;
  EXPECT_TRUE(read_key_letters("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", bytes));
  EXPECT_FALSE(read_key_letters("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9", bytes));
  EXPECT_EQ(bytes, KeyBytes{}) << "nothing of it stays";
}

// The keys of the examples in zmq_curve(7), which have them in Z85.
TEST(Keys, ThePublicKeyIsThatOfCurve25519) {
  const auto bytes_of = [](const std::string& hex) {
    KeyBytes bytes;
    for (std::size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
    return bytes;
  };
  EXPECT_EQ(
      SecretKey(bytes_of("8e0bdd697628b91d8f245587ee95c5b04d48963f79259877b49cd9063aead3b7")).public_key(),
      PublicKey{bytes_of("54fcba24e93249969316fb617c872bb0c1d1ff14800427c594cbfacf1bc2d652")});
}

TEST(Keys, AFingerprintIsShort) {
  EXPECT_EQ(fingerprint(PublicKey{counting_from(0)}), "cb2f-5160-fc1f-7e05");
  EXPECT_NE(fingerprint(PublicKey{counting_from(0)}), fingerprint(PublicKey{counting_from(1)}));
}

TEST(Keys, PublicKeysAreCompared) {
  const PublicKey low{counting_from(0)};
  const PublicKey high{counting_from(1)};
  EXPECT_LT(low, high);
  EXPECT_EQ((std::unordered_set<PublicKey>{low, high, low}.size()), 2u);
}

TEST(Keys, ASecretThatMovedOnIsWiped) {
  SecretKey from(counting_from(7));
  SecretKey to(std::move(from));
  EXPECT_EQ(from.bytes(), KeyBytes{});
  EXPECT_EQ(to.bytes(), counting_from(7));
  SecretKey third(counting_from(9));
  third = std::move(to);
  EXPECT_EQ(to.bytes(), KeyBytes{});
  EXPECT_EQ(third.bytes(), counting_from(7));
  EXPECT_EQ(third.copy(), third);
  EXPECT_FALSE(third == from);
}

TEST(Keys, ASecretThatEndsIsWiped) {
  alignas(SecretKey) unsigned char place[sizeof(SecretKey)];
  SecretKey* const key = new (place) SecretKey(counting_from(7));
  key->~SecretKey();
  EXPECT_TRUE(std::all_of(std::begin(place), std::end(place), [](unsigned char byte) { return byte == 0; }));
}

TEST(Keys, AWipedTextKeepsNothingInItsRoom) {
  std::string text = kExample + kExample;
  const char* const place = text.data();
  const std::size_t room = text.capacity();
  text.resize(20);
  { const WipedAtEnd wiped(text); }
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.data(), place);
  EXPECT_TRUE(std::all_of(place, place + room, [](char letter) { return letter == 0; }));
}

RC_GTEST_PROP(KeysProperty, JoinKeysReadBack, ()) {
  KeyBytes dispatcher;
  KeyBytes worker;
  for (auto& byte : dispatcher) byte = *rc::gen::arbitrary<std::uint8_t>();
  for (auto& byte : worker) byte = *rc::gen::arbitrary<std::uint8_t>();
  const auto parsed = parse_join_key(join_key_text({PublicKey{dispatcher}, SecretKey(worker)}));
  RC_ASSERT(std::holds_alternative<JoinKey>(parsed));
  RC_ASSERT(std::get<JoinKey>(parsed).dispatcher.bytes == dispatcher);
  RC_ASSERT(std::get<JoinKey>(parsed).worker.bytes() == worker);
}

// Whatever is given, what is said of it has none of it: it may be all but a key.
RC_GTEST_PROP(KeysProperty, AProblemQuotesNothing, ()) {
  std::string text = kExample;
  const auto place = *rc::gen::inRange<std::size_t>(0, text.size());
  if (*rc::gen::arbitrary<bool>()) {
    text.resize(place);
  } else {
    text[place] = *rc::gen::arbitrary<char>();
  }
  const std::string problem = problem_of(text);
  for (std::size_t at = 4; at + 6 <= text.size(); ++at)
    RC_ASSERT(problem.find(text.substr(at, 6)) == std::string::npos);
}

}  // namespace
}  // namespace workpool
