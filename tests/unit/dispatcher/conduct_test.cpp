// SPDX-License-Identifier: MIT
// Workers that are heard, but do not do what they should.
#include "dispatcher/core/conduct.h"

#include <utility>

#include "common/base/handler_start.h"
#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

class ConductTest : public CoreTest {
 protected:
  // w1, of one slot, has done job 0, and has 1, 2 and 3.
  void three_at_w1() {
    submit(8);
    ran = milliseconds(1);
    start();
    worker("w1", 1);
    expect_given("w1", {0});
    ends("w1", 0);
    expect_recorded(0, Status::kOk);
    expect_given("w1", {1, 2, 3});
  }
  // w1 runs job 1 and has 2 and 3 ahead of need; w2 does the rest and is idle, so that 3 is asked back.
  void recall_from_w1() {
    three_at_w1();
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
  // It hears our beats and says so.
  void beats(const std::string& name, Duration how_long) {
    for (const Time end = now() + how_long; now() < end;) {
      echoes(name);
      advance(std::min<Duration>(milliseconds(500), end - now()));
    }
  }
  void expect_taken(const std::string& name, std::uint64_t jobs) {
    const auto taken = expect_report<JobsTakenAway>();
    ASSERT_TRUE(taken);
    EXPECT_EQ(std::pair(taken->worker, taken->jobs), std::pair(name, jobs));
  }
  // The result of an earlier attempt than the last one.
  void attempt_ends(const std::string& name, JobNumber job, std::uint32_t which, Status status) {
    JobResult result = result_of(job, status);
    result.handle = Handle{};
    result.attempt = which;
    say(name, Results{{std::move(result)}});
    drain();
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

TEST_F(ConductTest, WhatSaysNothingOfItsJobsDoesNotPutThatOff) {
  recall_from_w1();
  for (int i = 0; i < 31; ++i) {
    advance(seconds(1));
    say("w1", Ready{true});
  }
  advance(seconds(1));
  expect_lost("w1", KeptWhatWasRecalled{});
  // And what it did not begin it cannot claim when it comes back, however long it says that it has run it.
  register_worker("w1", 1);
  held("w1", 3, 1, seconds(3600));
  expect_cancelled("w1", {3});
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
  say("w1", Beat{0, {}, {begun(0, milliseconds(1))}, {}});
  advance(seconds(14));
  expect_nothing();
  advance(seconds(3));
  const auto over = expect_report<OverItsTimeout>();
  EXPECT_EQ(std::pair(over->id, over->worker), std::pair(std::string("job0"), std::string("w1")));
  EXPECT_EQ(over->timeout, seconds(2));
  EXPECT_GT(over->ran, seconds(14));
  advance(seconds(100));
}

TEST_F(ConductTest, ABuiltInHandlerHasNoProgramThatStarts) {
  submit(1, {.timeout = seconds(2), .type = "noop"});
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  say("w1", Beat{0, {}, {begun(0, milliseconds(1))}, {}});
  advance(seconds(17));
  expect_report<OverItsTimeout>();
}

TEST_F(ConductTest, TheStartOfAHandlersProgramIsNoTimeOfItsJob) {
  handlers = {"embed"};
  submit(1, {.timeout = seconds(2), .type = "embed"});
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  say("w1", Beat{0, {}, {begun(0, milliseconds(1))}, {}});
  advance(kHandlerStartMost + seconds(14));
  expect_nothing();
  advance(seconds(3));
  expect_report<OverItsTimeout>();
}

// ---- jobs that are not started ----

TEST_F(ConductTest, JobsThatAreNeverBegunGoToOthers) {
  submit(3);
  start();
  worker("w1", 3);
  expect_given("w1", {0, 1, 2});
  worker("w2", 3);
  beats("w1", seconds(30));
  expect_nothing();
  beats("w1", seconds(3));
  expect_cancelled("w1", {0, 1, 2});
  expect_taken("w1", 3);
  expect_given("w2", {0, 1, 2});
  EXPECT_EQ(attempt(0), 2u);
  // What it says later of the first attempt counts if it is ok.
  attempt_ends("w1", 1, 1, Status::kFailed);
  expect_nothing();
  attempt_ends("w1", 2, 1, Status::kOk);
  expect_recorded(2, Status::kOk);
  expect_cancelled("w2", {2});
}

TEST_F(ConductTest, AlsoIfItEchoesNothing) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  worker("w2", 1);
  advance(seconds(58));
  expect_nothing();
  advance(seconds(5));
  expect_cancelled("w1", {0});
  expect_taken("w1", 1);
  expect_given("w2", {0});
}

TEST_F(ConductTest, JobsThatItNamesAreLeftToIt) {
  submit(2);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  worker("w2", 2);
  say("w1", Beat{0, {}, {begun(0, seconds(1)), begun(1, seconds(1))}, {}});
  beats("w1", seconds(600));
  expect_nothing();
}

TEST_F(ConductTest, NamesThatSayNothingNewDoNotHelp) {
  submit(2);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  worker("w2", 1);
  for (int i = 0; i < 34; ++i) {
    const Duration stamp = (now() - milliseconds(1)).time_since_epoch();
    say("w1", Beat{static_cast<std::uint64_t>(stamp.count()),
                   {},
                   std::vector<BegunJob>(kBegunMost, begun(0, seconds(1))),
                   {}});
    say("w1", Ready{true});
    advance(seconds(1));
  }
  expect_cancelled("w1", {1});
  expect_taken("w1", 1);
  expect_given("w2", {1});
}

TEST_F(ConductTest, WhatTakesLongToArriveIsNotMissed) {
  work_bytes = 5'000'000;  // 40 s on the thinnest line
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  worker("w2", 1);
  advance(seconds(95));
  expect_nothing();
}

TEST_F(ConductTest, WhileItsOtherJobsGoOnItIsLeftAlone) {
  submit(20);
  start();
  worker("w1", 2);
  JobNumber kept = take_given("w1").front();
  for (JobNumber job = 1; job < 10; ++job) {
    beats("w1", seconds(20));
    ends("w1", job);
    expect_recorded(job, Status::kOk);
    take_given("w1");
  }
  EXPECT_EQ(kept, 0u);
  expect_nothing();
}

TEST_F(ConductTest, AResultThatWaitsForTheDiskExcusesIt) {
  submit(3);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  disk_held = true;
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  take_given("w1");
  beats("w1", seconds(300));
  expect_nothing();
}

TEST_F(ConductTest, APauseOfTheDispatcherIsNotItsFault) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  beats("w1", seconds(5));
  sleep_without_a_look(seconds(8));
  beats("w1", seconds(28));
  expect_nothing();
}

TEST_F(ConductTest, WhatWaitsBehindARunningJobIsNotMissed) {
  three_at_w1();
  say("w1", Beat{0, {}, {begun(1, seconds(1))}, {}});
  beats("w1", seconds(600));
  expect_nothing();
}

TEST_F(ConductTest, WhatWaitsBehindOneThatIsNotStartedIsTakenToo) {
  three_at_w1();
  beats("w1", seconds(33));
  expect_cancelled("w1", {1, 2, 3});
  expect_taken("w1", 3);
}

TEST_F(ConductTest, OneThatStartsNothingGetsOneJobAtATimeUntilItHasDoneOne) {
  submit(20);
  start();
  worker("w1", 4);
  expect_given("w1", {0, 1, 2, 3});
  beats("w1", seconds(33));
  expect_cancelled("w1", {0, 1, 2, 3});
  expect_taken("w1", 4);
  expect_nothing();
  beats("w1", seconds(25));
  expect_nothing();  // it rests
  beats("w1", seconds(6));
  expect_given("w1", {0});
  EXPECT_EQ(attempt(0), 2u);
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  EXPECT_EQ(take_given("w1").size(), 4u);
}

TEST_F(ConductTest, RegisteringAnewDoesNotForgiveIt) {
  submit(4);
  start();
  worker("w1", 4);
  expect_given("w1", {0, 1, 2, 3});
  beats("w1", seconds(33));
  expect_cancelled("w1", {0, 1, 2, 3});
  expect_taken("w1", 4);
  register_worker("w1", 4);
  expect<CloseSession>();
  // That it runs them, and has for long, does not count.
  held("w1", 0, 1, seconds(3600));
  expect_cancelled("w1", {0});
  say("w1", Held{});
  say("w1", Ready{});
  expect_joined("w1");
  beats("w1", seconds(29));
  expect_nothing();
  beats("w1", seconds(2));
  expect_given("w1", {0});
}

// ---- others ----

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

TEST_F(ConductTest, OneKeyHasOnlyAFewOfThese) {
  submit(1);
  start();
  for (int i = 0; i < 128; ++i) {
    const std::string name = "flood" + std::to_string(i);
    keys[name] = KeyId{7};
    register_worker(name, 1);
  }
  keys["one more"] = KeyId{7};
  hello("one more", 1, 1);
  EXPECT_EQ(code_of(expect<Refuse>()->cause), Refusal::kLater);
  keys["another's"] = KeyId{8};
  register_worker("another's", 1);
}

}  // namespace
}  // namespace workpool::dispatcher
