// SPDX-License-Identifier: MIT
// Who may register, when a session is over, and what is said down its lane.
#include "dispatcher/core/sessions.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

using SessionsTest = CoreTest;

TEST_F(SessionsTest, AWorkerHasJoinedOnceItIsReadyAndItsLaneWorks) {
  submit(1);
  start();
  register_worker("w1", 1);
  say("w1", Held{});
  drain();
  expect_nothing();
  say("w1", Ready{});
  expect_joined("w1");
  drain();
  expect_given("w1", {0});
}

TEST_F(SessionsTest, SilenceForTheWorkerTimeoutEndsASession) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  falls_silent("w1");
  advance(milliseconds(9750));
  expect_nothing();
  advance(milliseconds(500));
  expect_lost("w1", SilentFor{seconds(10)});
}

TEST_F(SessionsTest, AMissingMessageEndsASession) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  say("w1", Beat{});
  step(SinkReceived{{options.run, SessionId{1}, 1000}, Beat{}});
  expect<SendLane>([](const SendLane& down) { return std::holds_alternative<End>(down.message); });
  falls_silent("w1");
  advance(seconds(3));
  expect_lost("w1", ConnectionLost{});
}

TEST_F(SessionsTest, TheNextHelloOfAWorkerReplacesItsSession) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  register_worker("w1", 1);
  expect<CloseSession>();
  EXPECT_EQ(ledger().holdings().live(), 1u);  // it is to say whether it runs it
}

TEST_F(SessionsTest, AWorkerIdThatIsUsedAgainIsRefusedWithTheReason) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  register_worker("w1", 1);
  expect<CloseSession>();
  hello("w1", 1, 1, " from elsewhere");
  const auto refused = expect<Refuse>();
  const auto* cause = std::get_if<IdUsedBefore>(&refused->cause);
  ASSERT_NE(cause, nullptr);
  EXPECT_EQ(std::pair(cause->engine, cause->try_number), std::pair(1u, 2u));
  EXPECT_EQ(std::pair(cause->engine_now, cause->try_now), std::pair(1u, 1u));
  // The one that is here is not disturbed.
  EXPECT_EQ(ledger().holdings().live(), 1u);
  held("w1", 0, 1);
  say("w1", Ready{});
  expect_joined("w1");
}

TEST_F(SessionsTest, AHelloThatIsNoTextIsRefusedWithTheReason) {
  submit(1);
  start();
  Hello hello;
  hello.worker = {1};
  hello.engine = hello.try_number = hello.slots = 1;
  hello.name = "w1";
  int sessions = 0;
  const auto refused = [&](const std::function<void(Hello&)>& change) {
    Hello changed = hello;
    change(changed);
    step(HelloReceived{"peer", changed, SessionId{100u + static_cast<unsigned>(++sessions)}});
    const auto refusal = expect<Refuse>();
    return refusal && std::holds_alternative<NoText>(refusal->cause);
  };
  EXPECT_TRUE(refused([](Hello& h) { h.name = "w\xff"; }));
  EXPECT_TRUE(refused([](Hello& h) { h.version = "\xc3"; }));
  EXPECT_TRUE(refused([](Hello& h) { h.handlers = {"noop", "\xed\xa0\x80"}; }));
  EXPECT_TRUE(refused([](Hello& h) { h.labels = {"\xfe"}; }));
}

TEST_F(SessionsTest, ACopyOfAHelloThatHasItsAnswerIsPassedOver) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  hello("w1", 1, 1);
  expect_nothing();
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_over();
}

// The worker may be waiting for room in its result window: a delay of each ack would be its speed.
TEST_F(SessionsTest, AnAckThatFreesMuchOfTheResultWindowIsSentAtOnce) {
  submit(4);
  start();
  worker("w1", 4);
  expect_given("w1", {0, 1, 2, 3});
  advance(seconds(1));
  const std::uint64_t before = ack_told("w1");
  value = "\"" + std::string(900'000, 'v') + "\"";  // a ninth of 8 MiB
  for (const JobNumber job : {0, 1}) {
    ends("w1", job);
    expect_recorded(job, Status::kOk);
  }
  EXPECT_EQ(ack_told("w1"), before);
  disk_held = true;
  ends("w1", 2);
  expect_recorded(2, Status::kOk);
  EXPECT_EQ(ack_told("w1"), before);
  make_durable();
  drain();
  EXPECT_GT(ack_told("w1"), before + 2);

  ends("w1", 3);
  expect_recorded(3, Status::kOk);
  make_durable();
  drain();
  expect_over();
}

TEST_F(SessionsTest, GoodbyeGivesBackWhatTheWorkerHad) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  say("w1", Goodbye{});
  expect<SendLane>();
  expect<CloseSession>();
  EXPECT_FALSE(expect_report<WorkerLeft>()->lost);
  falls_silent("w1");
  worker("w2", 1);
  expect_given("w2", {0});
}

}  // namespace
}  // namespace workpool::dispatcher
