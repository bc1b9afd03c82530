// SPDX-License-Identifier: MIT
// Who may register, when a session is over, and what is said down its lane.
#include "dispatcher/core/sessions.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

class SessionsTest : public CoreTest {
 protected:
  struct Told {
    Duration after{0};
    std::uint64_t ack = 0;
  };
  // Notes each LANE BEAT to this worker from now on, with the time since now.
  void listen(const std::string& name) {
    told_.clear();
    on_step = [this, session = session_of(name), from = now()](Time time, const Actions& actions) {
      for (const Action& action : actions) {
        const auto* down = std::get_if<SendLane>(&action);
        if (down == nullptr || down->session != session) continue;
        if (const auto* beat = std::get_if<LaneBeat>(&down->message))
          told_.push_back({time - from, beat->ack});
      }
    };
  }
  // How long it took until an ack of this message was told, from the call of listen().
  Duration told_of(std::uint64_t seq) const {
    for (const Told& told : told_) {
      if (told.ack >= seq) return told.after;
    }
    return Duration::max();
  }

  std::vector<Told> told_;
};

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

// ---- beats and acks ----

TEST_F(SessionsTest, ABeatGoesDownEveryTenthOfTheWorkerTimeoutUntilTheSessionIsLost) {
  options.worker_timeout = seconds(4);
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  listen("w1");
  falls_silent("w1");
  advance_by_deadlines(seconds(4));
  expect_lost("w1", SilentFor{seconds(4)});
  ASSERT_EQ(told_.size(), 9u);
  for (std::size_t i = 0; i < told_.size(); ++i)
    EXPECT_EQ(told_[i].after, milliseconds(400) * static_cast<int>(i + 1));
}

TEST_F(SessionsTest, AnAckGoesDownAtTheLatest30MsAfterItHasRisen) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  falls_silent("w1");
  // Whatever was told last, and however long before.
  for (const int before : {1, 15, 29, 30, 31, 100}) {
    SCOPED_TRACE(before);
    advance_by_deadlines(milliseconds(100));
    say("w1", Ready{});
    drain();
    ASSERT_EQ(ack_told("w1"), said("w1"));
    advance_by_deadlines(milliseconds(before));
    listen("w1");
    say("w1", Ready{});
    advance_by_deadlines(milliseconds(40));
    EXPECT_LE(told_of(said("w1")), milliseconds(30));
  }
}

// Many idle workers beat all the time, and an answer to each would only be looked at.
TEST_F(SessionsTest, TheAckOfABeatGoesDownWithTheNextMessage) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  falls_silent("w1");
  advance_by_deadlines(seconds(1));
  listen("w1");
  say("w1", Beat{});
  advance_by_deadlines(milliseconds(400));
  EXPECT_EQ(told_.size(), 0u);
  advance_by_deadlines(seconds(1));
  EXPECT_EQ(told_.size(), 1u);
  EXPECT_EQ(ack_told("w1"), said("w1"));
}

TEST_F(SessionsTest, ThirtyMsCountFromTheSyncForWhatWaitsForTheDisk) {
  submit(2);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  falls_silent("w1");
  disk_held = true;
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  advance_by_deadlines(milliseconds(500));
  listen("w1");
  make_durable();
  advance_by_deadlines(milliseconds(40));
  EXPECT_LE(told_of(said("w1")), milliseconds(30));
}

// ---- silence ----

// w1 gives its jobs back just before and just when w2 has been silent for so long.
TEST_F(SessionsTest, ASilentSessionGetsNoNewWorkFromThreeTenthsOfTheWorkerTimeoutOn) {
  submit(2);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  worker("w2", 2);
  falls_silent("w1");
  falls_silent("w2");
  advance_by_deadlines(milliseconds(2999));
  returns("w1", 0, ReturnReason::kNoResources);  // and rests for a moment
  drain();
  expect_given("w2", {0});
  advance_by_deadlines(milliseconds(1));
  say("w1", Goodbye{});
  expect<SendLane>();
  expect<CloseSession>();
  expect_report<WorkerLeft>();
  drain();
  expect_nothing();
  advance_by_deadlines(milliseconds(6999));
  expect_nothing();  // suspect, but not lost
  advance_by_deadlines(milliseconds(1));
  expect_lost("w2", SilentFor{seconds(10)});
}

TEST_F(SessionsTest, ASilentSessionThatIsHeardOfAgainGetsWorkAtOnce) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  worker("w2", 1);
  falls_silent("w2");
  advance(milliseconds(9750));
  say("w1", Goodbye{});
  falls_silent("w1");
  expect<SendLane>();
  expect<CloseSession>();
  expect_report<WorkerLeft>();
  drain();
  expect_nothing();
  step(PartReceived{session_of("w2")});  // of a message, and so a sign of life
  drain();
  expect_given("w2", {0});
}

// ---- fenced ----

TEST_F(SessionsTest, AFencedSessionGetsNothingMoreAndItsOkCounts) {
  submit(3);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  step(LaneGone{session_of("w1")});
  say("w1", Ready{});
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  advance(seconds(1));
  expect_nothing();  // job 2 waits, though a slot of w1 is free
  worker("w2", 2);
  expect_given("w2", {2});
  falls_silent("w1");
  advance(seconds(3));
  expect_lost("w1", ConnectionLost{});
  expect_given("w2", {1});
  result("w1", 1, Status::kOk);  // was on its way
  expect_cancelled("w2", {1});
  expect_recorded(1, Status::kOk);
}

// ---- the end of the run ----

TEST_F(SessionsTest, StopIsSaidAgainToALaneThatBecomesWritableLateAndOnlyOnce) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  hello("w2", 1, 1);
  const SessionId late = expect<Admit>()->welcome.session;
  step(LaneBound{late});
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_over();
  drain();
  expect_nothing();
  step(LaneWritable{late});
  expect<SendLane>([&](const SendLane& down) {
    return down.session == late && std::holds_alternative<Stop>(down.message);
  });
  step(LaneWritable{late});
  drain();
  expect_nothing();
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

TEST_F(SessionsTest, WorkersSayWhatHasRunForOverASecond) {
  submit(4);
  start();
  worker("w1", 3);
  worker("w2", 1);
  const Numbers given = take_given("w1");
  ASSERT_EQ(given.size(), 3U);
  const Numbers other = take_given("w2");
  advance(seconds(5));
  EXPECT_EQ(running(20).jobs, 0U) << "nobody has said anything";
  say("w1", Beat{0, Duration{0}, {begun(given[0], seconds(2)), begun(given[1], seconds(4))}});
  // What it does not hold, and what nobody holds.
  say("w1", Beat{0, Duration{0}, {begun(other[0], seconds(3)), {Handle{~0ull}, seconds(3)}}});
  say("w2", Beat{0, Duration{0}, {begun(other[0], seconds(3600))}});
  RunningList list = running(2);
  EXPECT_EQ(list.jobs, 3U);
  ASSERT_EQ(list.longest.size(), 2U);
  EXPECT_EQ(list.longest[0].worker, "w2");
  EXPECT_EQ(list.longest[0].ran, seconds(5)) << "not before it was given";
  EXPECT_EQ(list.longest[1].id, "job" + std::to_string(given[1]));
  EXPECT_EQ(list.longest[1].ran, seconds(4));
  ends("w1", given[1]);
  EXPECT_EQ(running(20).jobs, 2U);
  discard_decisions();
}

TEST_F(SessionsTest, JobsSayHowFarTheyAre) {
  submit(2, {.retries = 1});
  start();
  worker("w1", 1);
  worker("w2", 1);
  const JobNumber here = take_given("w1").at(0);
  const JobNumber there = take_given("w2").at(0);
  const auto handle = [&](JobNumber job) { return begun(job, seconds(0)).handle; };
  advance(seconds(3));
  say("w1", Beat{0, Duration{0}, {begun(here, seconds(2))}, {}, {{handle(here), {400, "so far"}}}});
  // Of another one's job, and of no job.
  say("w1", Beat{0, Duration{0}, {}, {}, {{handle(there), {900, "lie"}}, {Handle{~0ull}, {1, ""}}}});
  say("w2", Beat{0, Duration{0}, {begun(there, seconds(1))}});
  RunningList list = running(20);
  ASSERT_EQ(list.longest.size(), 2U);
  ASSERT_TRUE(list.longest[0].progress);
  EXPECT_EQ(*list.longest[0].progress, (Progress{400, "so far"}));
  EXPECT_FALSE(list.longest[1].progress);
  say("w1", Beat{0, Duration{0}, {}, {}, {{handle(here), {500, ""}}}});
  EXPECT_EQ(*running(1).longest.at(0).progress, (Progress{500, ""}));
  // Its next attempt has said nothing yet.
  ends("w1", here, Status::kFailed);
  discard_decisions();
  advance(seconds(8));
  ASSERT_EQ(take_given("w1"), Numbers{here});
  say("w1", Beat{0, Duration{0}, {begun(here, seconds(1))}});
  ASSERT_EQ(running(20).jobs, 2U);
  for (const RunningView& job : running(20).longest) EXPECT_FALSE(job.progress) << job.id;
  discard_decisions();
}

}  // namespace
}  // namespace workpool::dispatcher
