// SPDX-License-Identifier: MIT
// How much placement and the sessions look at: what has changed, never everything.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "tests/unit/dispatcher/placement_fixture.h"

namespace workpool::dispatcher {
namespace {

TEST_F(PlacementTest, NothingIsLookedAtIfNothingHasChanged) {
  worker("a", 1);
  job("1");
  drain();
  drain();  // what has been given is a change, too
  const auto before = looked();
  from("a", Beat{});
  drain();
  drain();
  EXPECT_EQ(looked().passes, before.passes);
}

TEST_F(PlacementTest, ClassesThatNobodyFitsAreNotLookedAt) {
  worker("a", 1);
  for (int i = 0; i < 1000; ++i) job("x" + std::to_string(i), {"", {"no" + std::to_string(i)}, 1});
  for (int i = 0; i < 10; ++i) job(std::to_string(i));
  drain();
  const auto before = looked();
  for (int i = 0; i < 9; ++i) {
    done(std::to_string(i));
    drain();
  }
  EXPECT_LE(looked().classes - before.classes, 4u * 9);
}

TEST_F(PlacementTest, APassEndsOnceNobodyCanTakeMore) {
  std::vector<std::string> labels;
  for (int i = 0; i < 1000; ++i) labels.push_back("l" + std::to_string(i));
  worker("a", 1, labels);
  for (int i = 0; i < 1000; ++i) job(std::to_string(i), {"", {labels[static_cast<std::size_t>(i)]}, 1});
  drain();
  const auto before = looked();
  for (int i = 0; i < 100; ++i) {
    done(std::to_string(i));
    EXPECT_EQ(drain().size(), 1u);
  }
  EXPECT_LE(looked().classes - before.classes, 4u * 200) << "two a pass: what is placed, and what waits";
}

// The first job of each of many requirements need not wait for a free slot.
TEST_F(PlacementTest, OneClassOfAHandlerGivesCreditToItsOthers) {
  ran = milliseconds(1);  // not so short that a millisecond of them goes out at once
  worker("a", 1, {"x", "y"});
  job("1", {"echo", {"x"}, 1});
  job("2", {"echo", {"y"}, 1});
  job("3", {"echo", {}, 1});
  for (int i = 4; i < 20; ++i) job(std::to_string(i), {"echo", {"x"}, 1});
  EXPECT_EQ(drain(), Given{"1 a"});
  done("1");
  ASSERT_EQ(drain().size(), 9u) << "half of what is left, of all three";
}

// A message costs more than ten tiny jobs in it.
TEST_F(PlacementTest, AWorkerThatHasEnoughInHandIsFilledUpByAQuarter) {
  ran = microseconds(10);
  worker("a", 1);
  for (int i = 0; i < 6000; ++i) job(std::to_string(i));
  EXPECT_EQ(drain().size(), 1u);
  done("0");
  ASSERT_EQ(drain().size(), kBelievedMost);
  int next = 1;
  for (; next < 256; ++next) {
    done(std::to_string(next));
    ASSERT_EQ(drain().size(), 0u) << "room for " << next;
  }
  done(std::to_string(next));
  EXPECT_EQ(drain().size(), 256u);
}

std::size_t given_to(const std::vector<std::string>& given, const std::string& name) {
  return static_cast<std::size_t>(std::count_if(
      given.begin(), given.end(), [&](const std::string& line) { return line.ends_with(" " + name); }));
}

// A hundred workers that got one of them each, and sixteen more, made a message of sixteen jobs.
TEST_F(PlacementTest, TinyJobsGoOutAMillisecondAtATime) {
  ran = microseconds(10);
  worker("a", 1);
  job("0");
  drain();
  done("0");
  worker("b", 1);
  for (int i = 1; i <= 150; ++i) job(std::to_string(i));
  const Given given = drain();
  EXPECT_EQ(given.size(), 150u);
  EXPECT_EQ(std::max(given_to(given, "a"), given_to(given, "b")), 100u);
}

TEST_F(PlacementTest, JobsOfAMillisecondFillFreeSlotsFirst) {
  ran = milliseconds(1);
  worker("a", 1);
  job("0");
  drain();
  done("0");
  worker("b", 1);
  for (int i = 1; i <= 2; ++i) job(std::to_string(i));
  const Given given = drain();
  EXPECT_EQ(given_to(given, "a"), 1u);
  EXPECT_EQ(given_to(given, "b"), 1u);
}

// A Load is full long before 3,000 classes have asked for their lines.
TEST_F(PlacementTest, AClassThatAsksForLinesIsLookedAtOnceALoad) {
  constexpr std::uint32_t kClasses = 3000;
  options.streaming = false;
  JobIndex file;
  std::vector<std::string> labels;
  for (std::uint32_t i = 0; i < kClasses; ++i)
    file.requirement_number({"", {labels.emplace_back("l" + std::to_string(i))}, 1});
  for (std::uint32_t i = 0; i < 20 * kClasses; ++i)
    file.add({key_of_id(std::to_string(i)).high, 0, 40ull * i, i + 1, 0, i % kClasses, 0});
  file.seal();
  file.open_queues(false);
  scheduler.emplace(options, file, now);
  worker("a", 1, labels);
  std::size_t read = 0;
  for (int i = 0; i < 40; ++i) {
    drain();
    JobsLoaded loaded;
    for (const Action& action : actions) {
      const auto* load = std::get_if<Load>(&action);
      for (std::size_t at = 0; load != nullptr && at < load->jobs.size(); ++at) {
        LoadedJob& job = loaded.jobs.emplace_back();
        job.facts.number = load->jobs[at];
        job.facts.key = key_of_id(std::to_string(job.facts.number));
        job.facts.requirement = static_cast<std::uint32_t>(job.facts.number % kClasses);
      }
    }
    read += loaded.jobs.size();
    step(std::move(loaded));
  }
  EXPECT_GE(read, 2u * kClasses);
  EXPECT_LE(looked().asked, 4u * 6100);
}

TEST_F(PlacementTest, SessionsThatCanRunNothingOfItAreNotLookedAt) {
  worker("a", 1, {"busy"});
  for (int i = 0; i < 200; ++i) worker("idle" + std::to_string(i), 1);
  for (int i = 0; i < 100; ++i) job(std::to_string(i), {"", {"busy"}, 1});
  drain();
  const auto before = looked();
  for (int i = 0; i < 50; ++i) {
    done(std::to_string(i));
    drain();
  }
  EXPECT_LE(looked().sessions - before.sessions, 4u * 50);
}

// How far the journal is concerns the sessions with open results only.
TEST_F(PlacementTest, SessionsThatWaitForNothingAreNotLookedAtWhenTheJournalGoesOn) {
  for (int i = 0; i < 200; ++i) worker("idle" + std::to_string(i), 1, {"other"});
  worker("busy", 1, {"busy"});
  for (int i = 0; i < 50; ++i) job(std::to_string(i), {"", {"busy"}, 1});
  drain();
  step(JournalState{.durable = entries});
  const std::uint64_t before = scheduler->sessions().looked_for_acks();
  for (int i = 0; i < 50; ++i) {
    done(std::to_string(i));
    step(JournalState{.durable = entries});
    drain();
  }
  EXPECT_GE(scheduler->sessions().looked_for_acks() - before, 50u);
  EXPECT_LE(scheduler->sessions().looked_for_acks() - before, 4u * 50);
}

// Silence, beats and acks are judged when the first of them is due, not at each step; and beats that are due
// at about the same time go down in one.
TEST_F(PlacementTest, SessionsAreLookedAtWhenOneIsDue) {
  options.worker_timeout = seconds(10);
  scheduler.emplace(options, index, now);
  for (int i = 0; i < 200; ++i) {
    worker("idle" + std::to_string(i), 1);
    now += milliseconds(5);
    drain();
  }
  const std::uint64_t before = scheduler->sessions().looked();
  for (int i = 0; i < 1000; ++i) {
    now += milliseconds(2);
    if (i % 5 == 0) from("idle" + std::to_string(i / 5), Beat{});
    drain();
  }
  RecordProperty("looks", static_cast<int>(scheduler->sessions().looked() - before));
  EXPECT_LE(scheduler->sessions().looked() - before, 4u * 8)
      << "a beat is due after 1 s and goes down up to 250 ms earlier; nobody waits for the ack of one";
}

// The acks of a busy worker are due every 30 ms. That must not make beats of others go down early.
TEST_F(PlacementTest, AnIdleWorkerGetsNoMoreBeatsBecauseAnotherIsBusy) {
  options.worker_timeout = seconds(10);
  scheduler.emplace(options, index, now);
  worker("busy", 1, {"busy"});
  worker("idle", 1);
  const SessionId idle{sessions};
  for (int i = 0; i < 200; ++i) job(std::to_string(i), {"", {"busy"}, 1});
  drain();
  int beats = 0;
  for (int i = 0; i < 1000; ++i) {  // 10 s
    now += milliseconds(10);
    if (i % 5 == 0) done(std::to_string(i / 5));
    if (i % 100 == 0) from("idle", Beat{});
    step(JournalState{.durable = entries});
    drain();
    for (const Action& action : actions) {
      const auto* down = std::get_if<SendLane>(&action);
      if (down == nullptr || down->session != idle) continue;
      beats += std::holds_alternative<LaneBeat>(down->message) ? 1 : 0;
    }
  }
  EXPECT_GE(beats, 9);
  EXPECT_LE(beats, 11);
}

}  // namespace
}  // namespace workpool::dispatcher
