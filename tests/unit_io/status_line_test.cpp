// SPDX-License-Identifier: MIT
// The live line at several widths, and the estimate of how long a run will still take.
#include "dispatcher/io/terminal/status_line.h"

#include <gtest/gtest.h>

#include <string>

#include "dispatcher/io/terminal/time_left.h"

namespace workpool::dispatcher {
namespace {

using std::string;

LineFacts facts_of(std::uint64_t ok, std::uint64_t total) {
  LineFacts facts;
  facts.snapshot.total = total;
  facts.snapshot.ok = ok;
  facts.snapshot.running = 4;
  facts.snapshot.workers = 2;
  facts.snapshot.slots = 4;
  facts.snapshot.phase = "running";
  facts.per_second = 3.14;
  facts.elapsed = seconds(65);
  facts.left = seconds(62);
  facts.bar = true;
  return facts;
}

RunningJobs::Longest job_of(const string& id, Duration ran, const string& worker = "node7") {
  return {id, "", 311, worker, ran};
}

TEST(StatusLine, AsMuchAsThereIsRoomFor) {
  LineFacts facts = facts_of(11, 200);
  facts.snapshot.failed = 1;
  EXPECT_EQ(status_line(facts, 199),
            "[#-----------------------] 12/200 (6%)  ok 11  failed 1  running 4  2 workers, 4 slots  1m05s  "
            "3.1/s  ETA 1m02s");
  EXPECT_EQ(status_line(facts, 99),
            "[------------] 12/200 (6%)  ok 11  failed 1  running 4  2 workers, 4 slots  1m05s  3.1/s  ETA "
            "1m02s");
  EXPECT_EQ(status_line(facts, 59), "12/200  ok 11  failed 1  running 4  1m05s  3.1/s  ETA 1m02s");
  EXPECT_EQ(status_line(facts, 39), "12/200  failed 1  3.1/s  ETA 1m02s");
  EXPECT_EQ(status_line(facts, 20), "12/200  failed 1");
  EXPECT_EQ(status_line(facts, 6), "12/200");
  EXPECT_EQ(status_line(facts, 4), "12/…");
  facts.bar = false;
  EXPECT_TRUE(status_line(facts).starts_with("12/200 (6%)  ok 11"));
}

TEST(StatusLine, TheBarFillsUp) {
  EXPECT_TRUE(status_line(facts_of(0, 10), 120).starts_with("[---------------] 0/10"));
  EXPECT_TRUE(status_line(facts_of(5, 10), 120).starts_with("[#######--------] 5/10"));
  EXPECT_TRUE(status_line(facts_of(10, 10), 120).starts_with("[###############] 10/10"));
  LineFacts stream = facts_of(5, 10);
  stream.snapshot.total_known = false;
  EXPECT_TRUE(status_line(stream, 120).starts_with("5/10+  ok 5"));
}

TEST(StatusLine, TimeOutsAreCountedAsAtTheEnd) {
  LineFacts facts = facts_of(5, 10);
  facts.snapshot.timeout = 2;
  facts.snapshot.quarantined = 1;
  facts.snapshot.invalid = 1;
  const string line = status_line(facts);
  EXPECT_NE(line.find("9/10 (90%)  ok 5  failed 0  timed out 2  quarantined 1  invalid 1  running 4"),
            string::npos)
      << line;
}

TEST(StatusLine, TheLongestJobAtTheEndOfARun) {
  LineFacts facts = facts_of(599, 600);
  facts.snapshot.running = 1;
  facts.elapsed = seconds(60 * 62);
  facts.left.reset();
  facts.longest = job_of(string(32, 'a'), seconds(60 * 58));
  EXPECT_EQ(status_line(facts, 199),
            "[#######################-] 599/600 (99%)  ok 599  failed 0  running 1  2 workers, 4 slots  1h02m"
            "  3.1/s  ETA --  longest: line 311 on node7, 58m");
  EXPECT_EQ(status_line(facts, 99),
            "599/600  ok 599  failed 0  running 1  1h02m  3.1/s  ETA --  longest: line 311 on node7, 58m");
  EXPECT_EQ(status_line(facts, 59), "599/600  3.1/s  ETA --  longest: line 311 on node7, 58m");
  EXPECT_EQ(status_line(facts, 39), "599/600  longest: line 311, 58m");
  EXPECT_EQ(status_line(facts, 25), "599/600");
  facts.longest = job_of("a given id", seconds(303));
  EXPECT_NE(status_line(facts).find("longest: 'a given id' on node7, 5m03s"), string::npos);
  facts.longest = job_of(string(100, 'x'), seconds(3), "w\x1b");
  EXPECT_NE(status_line(facts).find("longest: '" + string(29, 'x') + "…' on w\\x1b, 3s"), string::npos);
  facts.longest->name = "0.1 2";
  EXPECT_NE(status_line(facts).find("longest: '0.1 2' on"), string::npos);
}

TEST(StatusLine, ARetrySaysWhyAndHowLongItWaits) {
  LineFacts facts = facts_of(5, 10);
  facts.snapshot.delayed = 1;
  facts.retry = NextRetry{milliseconds(12'900), "exit status 1"};
  EXPECT_NE(status_line(facts).find("  ETA 1m02s  1 waits 12s to be retried: exit status 1"), string::npos);
  EXPECT_EQ(status_line(facts, 45), "5/10  ETA 1m02s  1 waits 12s to be retried");
  EXPECT_EQ(status_line(facts, 35), "5/10  ETA 1m02s");
  facts.snapshot.running = 0;
  facts.snapshot.waiting_for = BackoffOver{1};
  facts.left.reset();
  EXPECT_EQ(status_line(facts, 59), "5/10  ETA --  1 waits 12s to be retried: exit status 1");
  EXPECT_EQ(status_line(facts, 39), "5/10  1 waits 12s to be retried");
  facts.snapshot.delayed = 3;
  EXPECT_NE(status_line(facts).find("  3 wait to be retried, the first for 12s: exit status 1"),
            string::npos);
  facts.retry->reason = "a\nb\x1b[2J";
  EXPECT_NE(status_line(facts).find(": a\\x0ab\\x1b[2J"), string::npos);
  facts.retry.reset();
  EXPECT_NE(status_line(facts).find("  3 wait to be tried again"), string::npos);
  facts.snapshot.delayed = 1;
  EXPECT_NE(status_line(facts).find("  1 waits to be tried again"), string::npos);
}

TEST(StatusLine, WhatTheRunWaitsForIsLeftOutLast) {
  LineFacts stream = facts_of(3, 5);
  stream.snapshot.total_known = false;
  stream.snapshot.waiting_for = AnyWorker{};
  stream.snapshot.phase = "draining";
  EXPECT_NE(status_line(stream).find("3.1/s  draining  waiting: a worker"), string::npos);
  stream.snapshot.phase = "running";
  stream.left.reset();
  EXPECT_EQ(status_line(stream, 41), "3/5+  3.1/s  ETA --  waiting: a worker");
  EXPECT_EQ(status_line(stream, 26), "3/5+  waiting: a worker");
  EXPECT_EQ(status_line(stream, 12), "3/5+");
}

TEST(StatusLine, AClockHasWholeUnits) {
  EXPECT_EQ(format_clock(Duration{0}), "0s");
  EXPECT_EQ(format_clock(milliseconds(59'999)), "59s");
  EXPECT_EQ(format_clock(seconds(303)), "5m03s");
  EXPECT_EQ(format_clock(seconds(600)), "10m");
  EXPECT_EQ(format_clock(seconds(3599)), "59m");
  EXPECT_EQ(format_clock(seconds(3720)), "1h02m");
  EXPECT_EQ(format_clock(seconds(86'400 * 2 + 3600 * 3)), "2d3h");
  EXPECT_EQ(format_clock(seconds(-5)), "0s");
}

TEST(StatusLine, AnEtaIsNeverBelowASecondUnlessNothingIsLeft) {
  LineFacts facts = facts_of(9, 10);
  facts.left = milliseconds(100);
  EXPECT_NE(status_line(facts).find("ETA 1s"), string::npos);
  facts.left = Duration{0};
  EXPECT_NE(status_line(facts).find("ETA 0s"), string::npos);
}

// ---- the time that is left ----

constexpr Time kStart{seconds(1000)};

// A run in which jobs have ended and some run.
struct Progress {
  Snapshot snapshot;
  RunningJobs running;
  RunTimes times;
  RateMeter rate{kStart};

  Progress(std::uint64_t done, std::uint64_t total, std::uint32_t slots) {
    snapshot.ok = done;
    snapshot.total = total;
    snapshot.slots = slots;
    snapshot.running = std::min<std::uint64_t>(slots, total - done);
    snapshot.phase = "running";
  }
  Progress& ran(std::uint64_t jobs, Duration each) {
    for (std::uint64_t i = 0; i < jobs; ++i) times.add(each);
    return *this;
  }
  Progress& run(Duration longest, Duration shortest) {
    running.longest = job_of("x", longest);
    running.shortest_ran = shortest;
    return *this;
  }
  std::optional<Duration> left() const { return time_left(snapshot, running, times, rate); }
};

void expect_near(const std::optional<Duration>& left, Duration expected, Duration tolerance) {
  ASSERT_TRUE(left.has_value());
  EXPECT_NEAR(static_cast<double>(left->count()) / 1e6, static_cast<double>(expected.count()) / 1e6,
              static_cast<double>(tolerance.count()) / 1e6);
}

TEST(TimeLeft, OfJobsThatTakeAboutTheSame) {
  // 100 jobs of 30 s on 4 slots: 12 have ended, 4 run since 10 s: 20 s, and then 84 / 4 times 30 s.
  expect_near(Progress(12, 100, 4).ran(12, seconds(30)).run(seconds(10), seconds(10)).left(), seconds(650),
              seconds(15));
  // Nothing waits: the one that was started last decides.
  expect_near(Progress(98, 100, 4).ran(98, seconds(30)).run(seconds(29), seconds(2)).left(), seconds(28),
              seconds(2));
  // The last one begins when a slot is free.
  expect_near(Progress(97, 100, 2).ran(97, seconds(30)).run(seconds(10), seconds(5)).left(), seconds(50),
              seconds(3));
}

TEST(TimeLeft, MoreSlotsCountAtOnce) {
  Progress run(12, 1000, 4);
  run.ran(12, seconds(30)).run(seconds(1), seconds(1));
  run.snapshot.slots = 100;
  run.snapshot.running = 100;
  expect_near(run.left(), seconds(30 * 9 + 29), seconds(10));
}

TEST(TimeLeft, ShortJobsGoByTheRateThatIsMeasured) {
  Progress run(10'000, 100'000, 4);
  run.ran(10'000, milliseconds(1)).run(milliseconds(2), milliseconds(1));
  for (int i = 0; i <= 10; ++i) run.rate.sample(static_cast<std::uint64_t>(i) * 1000, kStart + seconds(i));
  expect_near(run.left(), seconds(90), seconds(2));
}

TEST(TimeLeft, IsNotKnownBeforeAnythingHasEnded) {
  EXPECT_FALSE(Progress(0, 100, 4).run(seconds(5), seconds(5)).left());
  Progress resumed(50, 100, 4);
  resumed.snapshot.before = 50;
  EXPECT_FALSE(resumed.run(seconds(5), seconds(5)).left());
  // All that has ended are attempts that are made again.
  EXPECT_FALSE(resumed.ran(3, seconds(1)).left());
}

TEST(TimeLeft, IsNotKnownWhileAJobRunsForLongerThanAnyThatHasEnded) {
  // 599 short jobs have ended within a second, and the last one runs since 30 s, or an hour.
  Progress run(599, 600, 4);
  run.ran(599, milliseconds(10));
  for (int i = 0; i < 30; ++i) run.rate.sample(599, kStart + seconds(i));
  EXPECT_FALSE(run.run(seconds(30), seconds(30)).left());
  EXPECT_FALSE(run.run(seconds(60 * 60), seconds(60 * 60)).left());
  // It does not matter as long as the others take longer.
  Progress many(100, 10'000, 4);
  many.ran(100, seconds(10)).run(seconds(60 * 10), seconds(5));
  ASSERT_TRUE(many.left());
  EXPECT_GT(*many.left(), seconds(9000 * 10 / 4));
}

TEST(TimeLeft, OfALongJobByThoseThatWereAsLong) {
  Progress run(599, 600, 4);
  run.ran(500, seconds(1)).ran(99, seconds(100)).run(seconds(50), seconds(50));
  expect_near(run.left(), seconds(50), seconds(10));
  run.run(seconds(98), seconds(98));
  ASSERT_TRUE(run.left());
  EXPECT_GE(*run.left(), seconds(2));
  // A little longer than all of them: soon, but not at once.
  run.run(seconds(110), seconds(110));
  ASSERT_TRUE(run.left());
  EXPECT_GE(*run.left(), seconds(5));
  EXPECT_LE(*run.left(), seconds(60));
}

TEST(TimeLeft, JobsThatRunLongerThanTheUsualOneCountBeforeTheyEnd) {
  Progress run(10, 600, 2);
  run.ran(10, milliseconds(200));
  const auto by_ended = run.run(milliseconds(100), milliseconds(100)).left();
  const auto with_running = run.run(seconds(20), seconds(20)).left();
  ASSERT_TRUE(by_ended && with_running);
  EXPECT_GT(*with_running, *by_ended * 10);
}

TEST(TimeLeft, IsNotKnownIfNothingMovesOrMoreMayCome) {
  Progress run(50, 100, 4);
  run.ran(50, seconds(1)).run(seconds(1), seconds(1));
  EXPECT_TRUE(run.left());
  run.snapshot.waiting_for = DiskSpace{};
  EXPECT_FALSE(run.left());
  run.snapshot.waiting_for = Nothing{};
  run.snapshot.total_known = false;
  EXPECT_FALSE(run.left());
  Progress over(100, 100, 4);
  EXPECT_EQ(over.left(), Duration{0});
}

TEST(TimeLeft, RetriesMakeJobsDearer) {
  // Each job takes three attempts of 10 s.
  expect_near(Progress(10, 20, 1).ran(30, seconds(10)).run(seconds(1), seconds(1)).left(),
              seconds(9 * 30 + 9), seconds(10));
}

}  // namespace
}  // namespace workpool::dispatcher
