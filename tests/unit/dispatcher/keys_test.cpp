// SPDX-License-Identifier: MIT
// A session belongs to the key that it was registered with: what comes under another key changes nothing.
#include "dispatcher/core/key_ring.h"
#include "dispatcher/core/rate_limit.h"
#include "dispatcher/core/zap.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

class KeysTest : public CoreTest {
 protected:
  // Two workers with keys of their own; w1 has the only job.
  void begin() {
    keys["w1"] = KeyId{1};
    keys["w2"] = KeyId{2};
    submit(1);
    start();
    worker("w1", 1);
    expect_given("w1", {0});
    worker("w2", 1);
    expect_nothing();
  }
  // `message` as the next one of the worker's session, but from the peer with this key.
  void under(KeyId key, const std::string& name, SinkMessage&& message) {
    step(SinkReceived{{options.run, session_of(name), said(name) + 1}, std::move(message), key});
  }
};

TEST_F(KeysTest, AResultUnderAnotherKeyChangesNothing) {
  begin();
  under(KeyId{2}, "w1", Results{{result_of(0, Status::kOk)}});
  const auto spoke = expect_report<SpokeForAnother>();
  EXPECT_EQ(spoke->name, "w1");
  EXPECT_EQ(spoke->key, KeyId{2});
  EXPECT_EQ(ledger().counts().ok, 0u);
  under(KeyId{2}, "w1", Results{{result_of(0, Status::kFailed)}});  // told once
  drain();
  expect_nothing();
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_over();
}

TEST_F(KeysTest, BeatsGoodbyesAndPartsUnderAnotherKeyKeepNothingAliveAndEndNothing) {
  begin();
  under(KeyId{2}, "w1", Goodbye{});
  expect_report<SpokeForAnother>();
  EXPECT_EQ(ledger().holdings().live(), 1u);
  falls_silent("w1");
  for (int i = 0; i < 45; ++i) {
    advance(milliseconds(250));
    under(KeyId{2}, "w1", Beat{});
    step(PartReceived{session_of("w1"), KeyId{2}});
  }
  expect_lost("w1", SilentFor{seconds(10)});
  advance(seconds(3));
  expect_given("w2", {0});
}

// A message out of order ends a session, but not for somebody else.
TEST_F(KeysTest, AMissingMessageUnderAnotherKeyEndsNoSession) {
  begin();
  step(SinkReceived{{options.run, session_of("w1"), 1000}, Beat{}, KeyId{2}});
  expect_report<SpokeForAnother>();
  drain();
  expect_nothing();
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_over();
}

TEST_F(KeysTest, AWorkerIdBelongsToItsKey) {
  begin();
  keys["w1"] = KeyId{2};
  hello("w1", 1, 9);
  const auto refused = expect<Refuse>();
  EXPECT_TRUE(std::holds_alternative<IdOfAnotherKey>(refused->cause));
  keys["w1"] = KeyId{1};
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_over();
}

TEST_F(KeysTest, AnIdBelongsToItsKeyOverARestart) {
  submit(1);
  keys["w1"] = KeyId{1};
  start({"w1"});
  keys["w1"] = KeyId{2};
  hello("w1", 1, 1);
  EXPECT_TRUE(std::holds_alternative<IdOfAnotherKey>(expect<Refuse>()->cause));
  keys["w1"] = KeyId{0};
  hello("w1", 1, 2);
  EXPECT_TRUE(std::holds_alternative<IdOfAnotherKey>(expect<Refuse>()->cause));
  keys["w1"] = KeyId{1};
  worker("w1", 1);
  expect_given("w1", {0});
}

TEST_F(KeysTest, ARevokedKeyLosesItsSessionAndItsJobsRunElsewhere) {
  begin();
  step(KeysRevoked{{KeyId{1}}});
  expect_lost("w1", KeyRevoked{});
  advance(seconds(3));
  expect_given("w2", {0});
  // What is still on its way counts no more, and it does not come in again.
  under(KeyId{1}, "w1", Results{{result_of(0, Status::kOk)}});
  EXPECT_EQ(ledger().counts().ok, 0u);
  hello("w1", 1, 9);
  const auto refused = expect<Refuse>();
  EXPECT_TRUE(std::holds_alternative<KeyNotValid>(refused->cause));
  ends("w2", 0);
  expect_recorded(0, Status::kOk);
  expect_over();
}

TEST_F(KeysTest, AnOkOfAJobThatTheWorkerNeverHadChangesNothing) {
  begin();
  JobResult forged = result_of(0, Status::kOk);
  forged.handle = Handle{};
  say("w2", Results{{forged}});
  drain();
  EXPECT_EQ(ledger().counts().ok, 0u);
  expect_nothing();
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_over();
}

// ---- the ring ----

PublicKey key(std::uint8_t first) {
  PublicKey made;
  made.bytes[0] = first;
  return made;
}

TEST(KeyRing, AKeyKeepsItsNumberUntilItIsTakenOut) {
  KeyRing ring;
  EXPECT_TRUE(ring.replace({{key(1), "a", {}}, {key(2), "b", {}}}).empty());
  const KeyId a = std::get<KeyId>(ring.judge(key(1), {}, 0));
  EXPECT_NE(a, KeyId{});
  EXPECT_TRUE(ring.replace({{key(1), "a", {}}, {key(2), "b", {}}, {key(3), "c", {}}}).empty());
  EXPECT_EQ(std::get<KeyId>(ring.judge(key(1), {}, 0)), a);
  EXPECT_EQ(ring.replace({{key(2), "b", {}}}),
            (std::vector{a, std::get<KeyId>(KeyRing(ring).judge(key(3), {}, 0))}));
  EXPECT_EQ(std::get<KeyRefusal>(ring.judge(key(1), {}, 0)), KeyRefusal::kRevoked);
  EXPECT_EQ(std::get<KeyRefusal>(ring.judge(key(9), {}, 0)), KeyRefusal::kUnknown);
  EXPECT_EQ(ring.name_of(a), "a");
  EXPECT_TRUE(ring.replace({{key(1), "a", {}}}).size() == 1);
  EXPECT_NE(std::get<KeyId>(ring.judge(key(1), {}, 0)), a) << "what belonged to the old number is over";
}

TEST(KeyRing, AKeyExpires) {
  KeyRing ring;
  ring.replace({{key(1), "a", 100}});
  const KeyId a = std::get<KeyId>(ring.judge(key(1), {}, 99));
  EXPECT_TRUE(ring.expire(99).empty());
  EXPECT_EQ(std::get<KeyRefusal>(ring.judge(key(1), {}, 100)), KeyRefusal::kExpired)
      << "before anybody looks";
  EXPECT_EQ(ring.expire(100), std::vector{a});
  EXPECT_TRUE(ring.expire(101).empty()) << "told once";
  EXPECT_EQ(std::get<KeyRefusal>(ring.judge(key(1), {}, 100)), KeyRefusal::kExpired);
}

TEST(KeyRing, ALaneIsForOneKey) {
  KeyRing ring;
  ring.replace({{key(1), "a", {}}, {key(2), "b", {}}});
  const KeyId a = std::get<KeyId>(ring.judge(key(1), {}, 0));
  EXPECT_EQ(std::get<KeyId>(ring.judge(key(1), a, 0)), a);
  EXPECT_EQ(std::get<KeyRefusal>(ring.judge(key(2), a, 0)), KeyRefusal::kNotItsLane);
}

// ---- how often ----

TEST(RateLimit, SomeAtOnceAndThenSoManyASecondForEachKey) {
  RateLimit limit(3, 2);
  Time now{};
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.admits(KeyId{1}, now));
  EXPECT_FALSE(limit.admits(KeyId{1}, now));
  EXPECT_TRUE(limit.admits(KeyId{2}, now)) << "another key";
  now += seconds(1);
  EXPECT_TRUE(limit.admits(KeyId{1}, now));
  EXPECT_TRUE(limit.admits(KeyId{1}, now));
  EXPECT_FALSE(limit.admits(KeyId{1}, now));
  now += seconds(100);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(limit.admits(KeyId{1}, now));
  EXPECT_FALSE(limit.admits(KeyId{1}, now)) << "never more at once";
}

// ---- the questions of libzmq ----

TEST(Zap, ARequestIsReadAndAnswered) {
  const std::string bytes(kKeyBytes, '\x07');
  const std::string domain = zap_domain(KeyId{12});
  const auto request = parse_zap_request({"1.0", "id", domain, "10.0.0.7", "", "CURVE", bytes});
  ASSERT_TRUE(request);
  EXPECT_EQ(request->only, KeyId{12});
  EXPECT_EQ(request->address, "10.0.0.7");
  EXPECT_EQ(request->key.bytes[31], 7);
  EXPECT_EQ(parse_zap_request({"1.0", "id", zap_domain({}), "", "", "CURVE", bytes})->only, KeyId{});
  EXPECT_EQ(zap_answer("id", ZapVerdict::kOk, KeyId{3}),
            (std::vector<std::string>{"1.0", "id", "200", "OK", "3", ""}));
  EXPECT_EQ(zap_answer("id", ZapVerdict::kRefused, KeyId{3})[2], "400");
  EXPECT_EQ(zap_answer("id", ZapVerdict::kRefused, KeyId{3})[4], "");
  EXPECT_EQ(zap_answer("id", ZapVerdict::kLater)[2], "300");
  EXPECT_EQ(key_of_user("3"), KeyId{3});
  EXPECT_EQ(plain_address("::ffff:10.0.0.7"), "10.0.0.7");
  EXPECT_EQ(plain_address("fe80::1"), "fe80::1");
}

TEST(Zap, WhatIsNoRequestOfOursIsRefused) {
  const std::string bytes(kKeyBytes, '\x07');
  const std::string all = zap_domain({});
  const std::vector<std::vector<std::string_view>> wrong = {
      {},
      {"1.0", "id", all, "", "", "CURVE"},
      {"1.0", "id", all, "", "", "CURVE", bytes, ""},
      {"2.0", "id", all, "", "", "CURVE", bytes},
      {"1.0", "id", all, "", "", "NULL", bytes},
      {"1.0", "id", all, "", "", "PLAIN", "user"},
      {"1.0", "id", all, "", "", "CURVE", "short"},
      {"1.0", "id", "", "", "", "CURVE", bytes},
      {"1.0", "id", "workpool-key-", "", "", "CURVE", bytes},
      {"1.0", "id", "workpool-key-0", "", "", "CURVE", bytes},
      {"1.0", "id", "workpool-key-01", "", "", "CURVE", bytes},
      {"1.0", "id", "workpool-key-1x", "", "", "CURVE", bytes},
      {"1.0", "id", "workpool-key-99999999999", "", "", "CURVE", bytes}};
  for (const auto& frames : wrong) EXPECT_FALSE(parse_zap_request(frames)) << frames.size();
  for (const char* user : {"", "0", "01", "-1", "1 ", "4294967296", "a"})
    EXPECT_FALSE(key_of_user(user)) << user;
}

}  // namespace
}  // namespace workpool::dispatcher
