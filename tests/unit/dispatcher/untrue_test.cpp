// SPDX-License-Identifier: MIT
// Workers that say what cannot be: it does not count, and their session ends as if the frame were missing.
#include "dispatcher/core/sessions.h"

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

class UntrueTest : public CoreTest {
 protected:
  // END goes down, and nothing is acked any more.
  void expect_caught(const std::string& name, Untruth what) {
    const auto report = expect_report<WorkerUntrue>();
    if (report) {
      EXPECT_EQ(std::pair(report->name, report->what), std::pair(name, what));
    }
    expect<SendLane>([](const SendLane& down) { return std::holds_alternative<End>(down.message); });
    EXPECT_EQ(records(), 0u);
    falls_silent(name);
  }
};

TEST_F(UntrueTest, AResultOfATypeThatTheWorkerDoesNotServe) {
  submit(2, {.type = "thumbnail"});
  start();
  register_worker("w1", 1);
  say("w1", Held{});
  result("w1", 0, Status::kOk, false);  // of the backlog
  expect_caught("w1", Untruth::kForeignType);
  drain();
  EXPECT_EQ(ledger().early(), 0u);
}

TEST_F(UntrueTest, AWorkerThatServesTheTypeHandsItsResultOver) {
  submit(1, {.type = "thumbnail"});
  handlers = {"noop", "thumbnail"};
  start({"w1"});
  register_worker("w1", 1);
  say("w1", Held{});
  result("w1", 0, Status::kOk, false);
  drain();
  expect_recorded(0, Status::kOk);
  expect_over();
}

// Its failure has been taken, but it did not hear the ack.
TEST_F(UntrueTest, AWorkerWhoseHandlerHasStoppedMayStillHaveItsResults) {
  submit(1, {.retries = 1, .type = "thumbnail"});
  handlers = {"noop", "thumbnail"};
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  result("w1", 0, Status::kFailed);
  handlers = {"noop"};
  register_worker("w1", 1);
  expect<CloseSession>();
  result("w1", 0, Status::kFailed, false);
  drain();
  EXPECT_EQ(records(), 0u);
  discard_decisions();  // of the job that waits for a worker
}

TEST_F(UntrueTest, WhatAWorkerWasGivenCountsWhateverItServesNow) {
  submit(1, {.type = "thumbnail"});
  handlers = {"thumbnail"};
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  handlers = {};
  register_worker("w1", 1);
  expect<CloseSession>();
  result("w1", 0, Status::kOk, false);
  expect_recorded(0, Status::kOk);
  drain();
  expect_over();
}

TEST_F(UntrueTest, AnAttemptThatRanForLongerThanSinceItWasGiven) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  say("w1", Beat{0, {}, {begun(0, milliseconds(1))}, {}});
  advance(seconds(100));
  ran = std::chrono::hours(24 * 365 * 99);
  result("w1", 0, Status::kOk);
  expect_caught("w1", Untruth::kRanTooLong);
}

TEST_F(UntrueTest, ClocksMayDiffer) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  say("w1", Beat{0, {}, {begun(0, milliseconds(1))}, {}});
  advance(seconds(100));
  ran = seconds(102);
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_over();
}

// The dispatcher's clock may have stood still with its machine: the worker comes back with what it has.
TEST_F(UntrueTest, WhatIsHandedOverFromAnEarlierSessionCounts) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  advance(seconds(1));
  register_worker("w1", 1);
  expect<CloseSession>();
  say("w1", Held{});
  ran = seconds(3600);
  result("w1", 0, Status::kOk, false);
  expect_recorded(0, Status::kOk);
  drain();
  expect_over();
}

TEST_F(UntrueTest, HeldNamesMoreThanTheWorkerHasRoomFor) {
  submit(1);
  start();
  register_worker("w1", 4);
  for (int i = 0; i < 2048; ++i) say("w1", Held{{{key_of_id(std::to_string(i)), {}, 1, seconds(1)}}});
  for (int i = 0; i < 2048; ++i)
    expect<SendLane>([](const SendLane& down) { return std::holds_alternative<Cancel>(down.message); });
  say("w1", Held{{{key_of_id("one more"), {}, 1, seconds(1)}}});
  expect_caught("w1", Untruth::kHoldsTooMuch);
}

TEST_F(UntrueTest, UnknownJobsOfOneHeldAreCancelledTogether) {
  submit(1);
  start();
  register_worker("w1", 4);
  Held held;
  for (int i = 0; i < 1000; ++i) held.jobs.push_back({key_of_id(std::to_string(i)), {}, 1, seconds(1)});
  say("w1", std::move(held));
  expect<SendLane>([](const SendLane& down) {
    const auto* cancel = std::get_if<Cancel>(&down.message);
    return cancel != nullptr && cancel->jobs.size() == 1000;
  });
}

// Whatever a worker from before names: what it cannot have been given together is cancelled.
TEST_F(UntrueTest, HeldIsWiderThanTheWorker) {
  submit(4, {.slots = 1'048'576});
  start({"w1"});
  register_worker("w1", 1'048'576);
  for (JobNumber job = 0; job < 4; ++job) held("w1", job, 1);
  for (JobNumber job = 2; job < 4; ++job) expect_cancelled("w1", {job});
  EXPECT_EQ(ledger().holdings().live(), 2u);
  drain();
}

TEST_F(UntrueTest, AnEchoOfWhatIsStillToComeIsPassedOver) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  say("w1", Beat{INT64_MAX, std::chrono::hours(24 * 365 * 99), {}});
  say("w1", Beat{INT64_MAX, Duration{0}, {}});
}

}  // namespace
}  // namespace workpool::dispatcher
