// SPDX-License-Identifier: MIT
// Handlers that do not come back: what becomes of their slots.
#include <gtest/gtest.h>

#include "tests/unit/worker/session_fixture.h"

namespace workpool::worker {
namespace {

class SessionLostSlots : public SessionFixture {
 protected:
  SessionLostSlots() {
    options_.slots = 1;
    start();
    run_a_job(R"({"type":"stubborn","args":null})");
  }
  void cancel() {
    JobRef ref;
    ref.handle = {1};
    ref.attempt = 1;
    deliver(Cancel{{ref}});
    step(Drained{});
  }
};

TEST_F(SessionLostSlots, ACancelledHandlerThatStaysCostsTheEngine) {
  cancel();
  ASSERT_EQ(killed_.size(), 1u);
  step(AttemptsEnded{{AttemptEnded{running_.front(), AttemptEnd::kStopped, {}, {}, true}}});
  step(Drained{});
  EXPECT_EQ(returned_, 1u);
  pass(seconds(2), Answer::kNone);
  EXPECT_EQ(times_said<SlotsLost>(), 1u);
  deliver(End{});
  EXPECT_EQ(code_, kExitRestart);
}

TEST_F(SessionLostSlots, OneThatComesBackLateGivesItsSlotBack) {
  cancel();
  step(AttemptsEnded{{AttemptEnded{running_.front(), AttemptEnd::kStopped, {}, {}, true}}});
  step(Drained{});
  step(AttemptsEnded{{AttemptEnded{running_.front(), AttemptEnd::kStopped, {}, {}, false}}});
  pass(seconds(2), Answer::kNone);
  EXPECT_EQ(times_said<SlotsLost>(), 0u);
  EXPECT_EQ(session().attempts().lost(), 0u);
  EXPECT_EQ(returned_, 1u);
}

// The next attempt of its job has the same handle, and waits for a slot.
TEST_F(SessionLostSlots, TheNextAttemptCanBeCalledBack) {
  Outcome outcome;
  outcome.status = Status::kTimeout;
  AttemptsEnded ended;
  ended.attempts.push_back({running_.front(), AttemptEnd::kOutcome, std::move(outcome), seconds(1), true});
  step(std::move(ended));
  step(Drained{});
  EXPECT_EQ(results_, 1u);
  JobOrder again;
  again.handle = {1};
  again.attempt = 2;
  deliver(Jobs{1, 1, {again}});
  step(Drained{});
  JobRef ref;
  ref.handle = {1};
  ref.attempt = 2;
  deliver(Recall{{ref}});
  step(Drained{});
  EXPECT_EQ(returned_, 1u);
  EXPECT_EQ(session().attempts().queued(), 0u);
}

}  // namespace
}  // namespace workpool::worker
