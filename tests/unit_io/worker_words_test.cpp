// SPDX-License-Identifier: MIT
// What is said about workers: the reasons in REFUSED are read by older workers too, so they stay as they are.
#include "dispatcher/io/terminal/worker_words.h"

#include <gtest/gtest.h>

namespace workpool::dispatcher {
namespace {

std::string refused(const RefusalCause& cause) {
  const Refused refused = refused_for(cause);
  EXPECT_EQ(refused.protocol, kProtocol);
  return std::to_string(static_cast<int>(refused.code)) + " " + refused.reason;
}

TEST(WorkerWords, Refusals) {
  EXPECT_EQ(refused(RunComplete{}), "0 the run is complete");
  EXPECT_EQ(
      refused(OtherProtocol{9, "2.0"}),
      "76 this dispatcher speaks protocol 1, the worker (version 2.0) protocol 9; install the same version "
      "of workpool on both");
  EXPECT_EQ(refused(NoText{}), "77 a HELLO whose version, name, handlers or labels are not UTF-8");
  EXPECT_EQ(refused(NoIdentity{}), "77 a HELLO without a name, a slot or an identity");
  EXPECT_EQ(
      refused(IdUsedBefore{{0xab}, 1, 2, 1, 1}),
      "77 worker id 00000000000000ab has registered with engine 1, try 2 already, this is engine 1, try 1; "
      "each start of a worker needs a new random id, and engine and try must rise");
  EXPECT_EQ(refused(TooManyRegister{}), "1 too many workers are registering at this moment");
  EXPECT_EQ(refused(TooManyWorkers{}), "1 this run has had too many workers");
}

TEST(WorkerWords, Leaving) {
  EXPECT_EQ(leave_text(SaidGoodbye{}), "said goodbye");
  EXPECT_EQ(leave_text(SilentFor{milliseconds(2500)}), "silent for 2.5s");
  EXPECT_EQ(leave_text(ConnectionLost{}), "connection lost");
  EXPECT_EQ(leave_text(ConnectionClosed{}), "connection closed");
  EXPECT_EQ(leave_text(NeverReady{}), "registered but did not say that it is ready");
  EXPECT_EQ(leave_text(KeptWhatWasRecalled{}), "did not return what was asked back");
  EXPECT_EQ(leave_text(OwesAResult{}), "did not send the result of a job that has ended there");
}

TEST(WorkerWords, TheBench) {
  WorkerBenched worker;
  worker.name = "node3";
  worker.failed = 10;
  worker.message = "cannot start goodprog";
  worker.elsewhere_ended = 12;
  worker.probed_in = seconds(60);
  EXPECT_EQ(
      benched_text(worker),
      "worker node3 is benched: its last 10 jobs failed (cannot start goodprog), elsewhere 0 of 12 did; "
      "retried in 1m");
  worker.withdrawn = 9;
  EXPECT_TRUE(benched_text(worker).ends_with("; retried in 1m; 9 results withdrawn and run again"));
  worker.withdrawn = 1;
  EXPECT_TRUE(benched_text(worker).ends_with("; 1 result withdrawn and runs again"));
  EXPECT_EQ(unbenched_text({"node3", BackBecause::kProbeOk}), "worker node3 is back: a job was ok there");
  EXPECT_EQ(unbenched_text({"node3", BackBecause::kNeeded}),
            "worker node3 is back: no other worker could run what is left");
  EXPECT_EQ(unbenched_text({"node3", BackBecause::kNothingLeft}),
            "worker node3 is back: no job like those that failed there is left");
}

TEST(WorkerWords, WhatCannotBe) {
  EXPECT_EQ(
      untruth_text({"w\x1b", Untruth::kForeignType, "a"}),
      "worker w\\x1b sends a result of job 'a' that it does not serve; it does not count, and the session "
      "ends");
  EXPECT_EQ(
      untruth_text({"w", Untruth::kRanTooLong, "a"}),
      "worker w sends a result of job 'a' that ran for longer than it has had the job; it does not count, "
      "and the session ends");
  EXPECT_EQ(untruth_text({"w", Untruth::kHoldsTooMuch, {}}),
            "worker w says that it runs more jobs than it has room for; its session ends");
  EXPECT_EQ(over_timeout_text({"a", "w", seconds(20), seconds(2)}),
            "job a has run on worker w for 20s; its timeout is 2s, but the worker does not end it");
  EXPECT_EQ(taken_away_text({"w", 3, "a", milliseconds(30700)}),
            "worker w is there but has not started 3 jobs, such as a, for 30s: they are given out again, and "
            "it gets one job at a time until it has done one");
  EXPECT_EQ(taken_away_text({"w", 1, "a", seconds(20)}),
            "worker w is there but has not started job a for 20s: they are given out again, and it gets one "
            "job at a time until it has done one");
}

}  // namespace
}  // namespace workpool::dispatcher
