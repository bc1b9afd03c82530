// SPDX-License-Identifier: MIT
// Workers that are heard, but do not do what they should.
#include "dispatcher/core/conduct.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

class ConductTest : public CoreTest {
 protected:
  // w1 runs job 1 and has 2 and 3 ahead of need; w2 does the rest and is idle, so that 3 is asked back.
  void recall_from_w1() {
    submit(8);
    ran = milliseconds(1);
    start();
    worker("w1", 1);
    expect_given("w1", {0});
    ends("w1", 0);
    expect_recorded(0, Status::kOk);
    expect_given("w1", {1, 2, 3});
    worker("w2", 1);
    for (bool more = true; more;) {
      more = false;
      for (const JobNumber job : take_given("w2")) {
        ends("w2", job);
        expect_recorded(job, Status::kOk);
        more = true;
      }
    }
    advance(milliseconds(250));
    expect_recalled("w1", {3});
  }
};

TEST_F(ConductTest, ARecallThatIsNotAnsweredEndsTheSession) {
  recall_from_w1();
  advance(seconds(29));
  expect_nothing();
  advance(seconds(3));
  expect_lost("w1", KeptWhatWasRecalled{});
  advance(seconds(1));
  EXPECT_FALSE(take_given("w2").empty());
}

TEST_F(ConductTest, OneThatWasHeardAndIsNotAnsweredEndsItSooner) {
  recall_from_w1();
  advance(milliseconds(250));
  echoes("w1");
  advance(seconds(8));
  expect_nothing();
  advance(seconds(4));
  expect_lost("w1", KeptWhatWasRecalled{});
  advance(seconds(1));
  EXPECT_FALSE(take_given("w2").empty());
}

TEST_F(ConductTest, OneBehindMuchWorkMayBeHeardLater) {
  work_bytes = 500'000;  // of each of three jobs: 12 s on the thinnest line
  recall_from_w1();
  advance(seconds(41));
  expect_nothing();
  advance(seconds(3));
  expect_lost("w1", KeptWhatWasRecalled{});
  advance(seconds(1));
  EXPECT_FALSE(take_given("w2").empty());
}

TEST_F(ConductTest, AWorkerThatReturnsWhatItWasAskedForIsLeftAlone) {
  recall_from_w1();
  returns("w1", 3);
  drain();
  expect_given("w2", {3});
  advance(milliseconds(250));
  ends("w2", 3);
  expect_recorded(3, Status::kOk);
  advance(milliseconds(250));
  expect_recalled("w1", {2});
  returns("w1", 2);
  drain();
  expect_given("w2", {2});
  advance(seconds(60));
}

TEST_F(ConductTest, AJobFarBeyondItsTimeoutIsNamedOnce) {
  submit(1, {.timeout = seconds(2)});
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  advance(seconds(14));
  expect_nothing();
  advance(seconds(3));
  const auto over = expect_report<OverItsTimeout>();
  EXPECT_EQ(std::pair(over->id, over->worker), std::pair(std::string("job0"), std::string("w1")));
  EXPECT_EQ(over->timeout, seconds(2));
  EXPECT_GT(over->ran, seconds(14));
  advance(seconds(100));
}

TEST_F(ConductTest, ASessionThatNeverGetsReadyIsEnded) {
  submit(1);
  start();
  register_worker("w1", 1);
  advance(seconds(50));
  say("w1", Held{});  // something came
  advance(seconds(50));
  expect_nothing();
  advance(seconds(12));
  expect_lost("w1", NeverReady{});
}

TEST_F(ConductTest, AWorkerThatGivesEverythingBackGetsLessAndLess) {
  submit(1);
  start();
  worker("w1", 1);
  int given = 0;
  int notes = 0;
  for (int i = 0; i < 4 * 60; ++i) {
    given += static_cast<int>(take_given("w1").size());
    if (ledger().holdings().live() > 0) returns("w1", 0);
    drain();
    given += static_cast<int>(take_given("w1").size());
    if (given == 5 && notes == 0) {
      ++notes;
      EXPECT_EQ(expect_report<ReturnsEverything>()->name, "w1");
    }
    advance(milliseconds(250));
  }
  EXPECT_LE(given, 9);
  EXPECT_EQ(notes, 1);
  if (ledger().holdings().live() > 0) returns("w1", 0);
  take_given("w1");
  // Another one gets it first.
  worker("w2", 1);
  expect_given("w2", {0});
}

TEST_F(ConductTest, AResultForgivesIt) {
  submit(3);
  start();
  worker("w1", 1);
  const auto next = [this] {
    const Numbers given = take_given("w1");
    EXPECT_EQ(given.size(), 1u);
    return given.empty() ? 0 : given.front();
  };
  for (int i = 0; i < 3; ++i) {
    returns("w1", next());
    advance(seconds(2));
  }
  const JobNumber done = next();
  ends("w1", done);
  expect_recorded(done, Status::kOk);
  advance(milliseconds(250));
  // A first time again: the rest is short.
  returns("w1", next());
  advance(milliseconds(250));
  next();
}

TEST_F(ConductTest, OnlySoManyMayBeOnTheirWayToReady) {
  submit(1);
  start();
  for (int i = 0; i < 1024; ++i) register_worker("flood" + std::to_string(i), 1);
  hello("one more", 1, 1);
  EXPECT_EQ(code_of(expect<Refuse>()->cause), Refusal::kLater);
  say("flood7", Held{});
  say("flood7", Ready{});
  expect_joined("flood7");
  hello("one more", 1, 2);
  expect<Admit>();
  drain();
  expect_given("flood7", {0});
}

}  // namespace
}  // namespace workpool::dispatcher
