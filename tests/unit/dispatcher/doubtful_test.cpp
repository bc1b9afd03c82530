// SPDX-License-Identifier: MIT
// Jobs that have ended at their worker, which holds the result back for a moment: the signal that ended them
// may have been meant for the whole worker.
#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

class DoubtfulTest : public CoreTest {
 protected:
  const ActiveJob& job(JobNumber number) const {
    return ledger().jobs().at(*ledger().jobs().find_active(key_of_id("job" + std::to_string(number))));
  }
};

TEST_F(DoubtfulTest, TheSlotGetsTheNextJobAtOnce) {
  submit(4);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  says_ended("w1", {0});
  expect_given("w1", {2});
  EXPECT_EQ(snapshot().running, 2u);
  EXPECT_EQ(snapshot().held, 3u);
  says_ended("w1", {0});  // told twice
  expect_given("w1", {});
  says_ended("w1", {1, 2});
  expect_given("w1", {3});
  ends("w1", 0, Status::kFailed);
  expect_recorded(0, Status::kFailed);
  returns("w1", 1, ReturnReason::kStopped);  // a stop has come
  drain();
  expect_given("w1", {1});
}

TEST_F(DoubtfulTest, OnlyWhatTheSessionHoldsFreesASlot) {
  submit(5);
  start();
  worker("w1", 1);
  worker("w2", 1);
  expect_given("w1", {0});
  expect_given("w2", {1});
  says_ended("w1", {1});  // of another
  expect_given("w1", {});
  expect_given("w2", {});
  Beat beat;
  beat.ended = {Handle{}, Handle{77}, Handle{~0ull}};
  say("w1", std::move(beat));
  drain();
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  EXPECT_EQ(take_given("w1").front(), 2u);
  says_ended("w1", {0});  // over and done
  EXPECT_EQ(snapshot().held, 2u);
}

TEST_F(DoubtfulTest, AFailureThatWasHeldBackIsRetriedLikeAny) {
  submit(1, {.retries = 1});
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  says_ended("w1", {0});
  ends("w1", 0, Status::kFailed);
  expect_report<JobRetried>();
  advance(seconds(2));
  expect_given("w1", {0});
  EXPECT_EQ(attempt(0), 2u);
}

TEST_F(DoubtfulTest, AJobThatMustRunAloneIsBesideNoneThatHasEnded) {
  options.crash_limit = 1;
  submit(4);
  start();
  worker("w1", 2);
  expect_given("w1", {0, 1});
  new_engine("w1");
  died("w1", {0, 1});  // both are to run alone now
  expect_report<EngineDied>();
  say("w1", Held{});
  say("w1", Ready{});
  expect_joined("w1");
  drain();
  expect_given("w1", {2, 3});
  expect_recalled("w1", {3, 2});
  says_ended("w1", {2, 3});
  advance(seconds(2));
  expect_given("w1", {});
  ends("w1", 2);
  expect_recorded(2, Status::kOk);
  expect_given("w1", {});
  ends("w1", 3);
  expect_recorded(3, Status::kOk);
  expect_given("w1", {0});
  says_ended("w1", {0});
  expect_given("w1", {});
  ends("w1", 0);
  expect_recorded(0, Status::kOk);
  expect_given("w1", {1});
}

TEST_F(DoubtfulTest, WhoeverLosesItsWorkerMayHaveBeenTheReasonAlsoIfItHasEnded) {
  options.worker_timeout = seconds(2);
  submit(3);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  says_ended("w1", {0});
  expect_given("w1", {1});
  falls_silent("w1");
  advance(seconds(3));
  expect_lost("w1", SilentFor{seconds(2)});
  advance(seconds(3));  // no DIED comes
  EXPECT_EQ(job(0).trouble().lost, 1u);
  EXPECT_EQ(job(1).trouble().lost, 1u) << "what really ran is not passed over for one that has ended";
  EXPECT_EQ(snapshot().redelivered, 2u);
}

TEST_F(DoubtfulTest, ItsNewSessionNamesItAndSendsTheResult) {
  submit(2);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  says_ended("w1", {0});
  expect_given("w1", {1});
  register_worker("w1", 1);
  expect<CloseSession>();
  held("w1", 0, 1);
  held("w1", 1, 1);
  result("w1", 0, Status::kFailed, false);
  say("w1", Ready{});
  expect_joined("w1");
  expect_recorded(0, Status::kFailed);
  drain();
  EXPECT_EQ(snapshot().held, 1u);
}

TEST_F(DoubtfulTest, AResultThatNeverComesEndsTheSession) {
  submit(2);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  says_ended("w1", {0});
  expect_given("w1", {1});
  advance(seconds(30));
  expect_nothing();  // what was sent before it may still be under way
  echoes("w1");
  advance(seconds(2));
  expect_lost("w1", OwesAResult{});
}

TEST_F(DoubtfulTest, ACancelledOneIsNotCancelledAgain) {
  submit(1);
  start();
  worker("w1", 1);
  expect_given("w1", {0});
  says_ended("w1", {0});
  step(StopRequested{StopKind::kInterrupt});
  step(StopRequested{StopKind::kInterrupt});
  drain();
  expect_cancelled("w1", {0});
  returns("w1", 0, ReturnReason::kStopped);
  drain();
  expect_over();
}

}  // namespace
}  // namespace workpool::dispatcher
