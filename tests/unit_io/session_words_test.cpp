// SPDX-License-Identifier: MIT
// What a worker says of its session. Operators grep for the event names, so they stay as they are.
#include "worker/io/session_words.h"

#include <gtest/gtest.h>

namespace workpool::worker {
namespace {

std::string said(const Say& say) {
  const SessionWords words = words_for(say, {"tcp://10.0.0.5:5555", 16});
  const char* level = words.level == LogLevel::kError  ? "error"
                      : words.level == LogLevel::kWarn ? "warn"
                                                       : "info";
  return std::string(level) + " " + words.event + ": " + words.text;
}

TEST(SessionWords, Registration) {
  EXPECT_EQ(said(Joined{"w-2"}), "info joined: as w-2");
  EXPECT_EQ(said(RefusedForGood{Refusal::kComplete, "the run is complete"}),
            "info refused: the run is complete");
  EXPECT_EQ(said(RefusedForGood{Refusal::kOther, "no name"}), "error refused: no name");
  EXPECT_EQ(said(NotAllowed{"say --insecure"}), "error not_allowed: say --insecure");
}

std::string spoken(const Say& say, std::uint32_t slots = 16) {
  return words_for(say, {"tcp://10.0.0.5:5555", slots}).spoken;
}

TEST(SessionWords, APersonHearsSentences) {
  EXPECT_EQ(spoken(Joined{"node7"}), "joined tcp://10.0.0.5:5555 as node7, 16 slots");
  EXPECT_EQ(spoken(Joined{"node7"}, 1), "joined tcp://10.0.0.5:5555 as node7, 1 slot");
  EXPECT_EQ(spoken(RefusedForGood{Refusal::kOther, "no name"}), "refused: no name");
  EXPECT_EQ(spoken(RunIsOver{}), "the run is over: leaving");
}

TEST(SessionWords, WhatAWorkerHasDone) {
  EXPECT_EQ(work_text(340, 2, seconds(754)), "ran 340 jobs, 2 not ok, in 12m");
  EXPECT_EQ(work_text(1, 0, milliseconds(1234)), "ran 1 job in 1.2s");
  EXPECT_EQ(work_text(0, 0, milliseconds(61'900)), "ran 0 jobs in 1m1s");
}

TEST(SessionWords, ADispatcherThatIsSilent) {
  EXPECT_EQ(said(DispatcherSilent{seconds(10), std::nullopt}),
            "warn dispatcher_silent: no sign of life from the dispatcher for 10s: registering again");
  EXPECT_EQ(said(DispatcherSilent{seconds(10), PortsOutOfReach{5601, 5600}}),
            "warn dispatcher_silent: the dispatcher answers, but its port 5601 for jobs or 5600 for results "
            "is out of reach from here: open its --ports too, or forward them: registering again");
}

TEST(SessionWords, WhyThereIsNoDispatcher) {
  EXPECT_EQ(said(WaitingForDispatcher{TurnedAway{"too many workers"}}),
            "warn waiting_for_dispatcher: refused: too many workers");
  EXPECT_EQ(said(WaitingForDispatcher{NoAnswer{"127.0.0.1: connection refused"}}),
            "warn waiting_for_dispatcher: 127.0.0.1: connection refused");
  EXPECT_EQ(said(WaitingForDispatcher{PortsOutOfReach{std::nullopt, 5600}}),
            "warn waiting_for_dispatcher: the dispatcher answers, but its port 5600 for results is out of "
            "reach from here: open its --ports too, or forward them");
  EXPECT_EQ(said(WaitingForDispatcher{SessionOver{}}),
            "warn waiting_for_dispatcher: the session with the dispatcher ended");
  EXPECT_EQ(said(Orphaned{seconds(60), NoAnswer{"no answer"}, false}),
            "warn orphaned: no dispatcher for 1m (no answer)");
  EXPECT_EQ(said(Orphaned{seconds(60), SessionOver{}, true}),
            "warn orphaned: no dispatcher for 1m (the session with the dispatcher ended): killing what runs");
}

TEST(SessionWords, StopsAndTheEnd) {
  EXPECT_EQ(said(Finishing{2, seconds(25)}),
            "info stopping: finishing 2 jobs, for at most 25s; once more cancels");
  EXPECT_EQ(said(HandingOver{1, seconds(25)}),
            "info stopping: waiting at most 25s for a dispatcher to take 1 result");
  EXPECT_EQ(said(NothingRuns{}), "info stopping: nothing runs: leaving");
  EXPECT_EQ(said(Cancelling{}), "info stopping: cancelling what runs");
  EXPECT_EQ(said(RunIsOver{}), "info run_over: the run is over: leaving");
  EXPECT_EQ(said(ResultsLeft{3}),
            "warn results_left: 3 results that no dispatcher has taken end with this worker: what of it is "
            "not recorded runs again");
}

TEST(SessionWords, Jobs) {
  EXPECT_EQ(said(LacksResources{"Cannot allocate memory"}),
            "warn cannot_start: cannot start a job: Cannot allocate memory; pausing for a second");
  EXPECT_EQ(
      said(SlotsLost{}),
      "warn slots_lost: jobs that did not end after their timeout hold the slots: starting a new engine");
}

}  // namespace
}  // namespace workpool::worker
