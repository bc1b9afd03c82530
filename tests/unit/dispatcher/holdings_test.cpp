// SPDX-License-Identifier: MIT
// Who holds what: each state of a holding, what it may become, and the two lists that it stands in.
#include "dispatcher/core/holdings.h"

#include <gtest/gtest.h>

#include <map>
#include <vector>

namespace workpool::dispatcher {
namespace {

constexpr WorkerId kAnna{1};
constexpr WorkerId kBert{2};

class HoldingsTest : public testing::Test {
 protected:
  HoldingRow give(Holder& to, JobRow job, std::uint32_t slots = 1) {
    return holdings.give(to, {.job = job,
                              .slots = slots,
                              .attempt = ++attempts[job],
                              .handle = Handle{100 + job},
                              .since = now,
                              .bytes = 10});
  }
  std::vector<JobRow> jobs_of(const Holder& holder) const {
    std::vector<JobRow> jobs;
    HoldingRow before = kNoHolding;
    for (HoldingRow row = holdings.first(holder); row != kNoHolding; row = holdings.next(row)) {
      EXPECT_EQ(holdings.at(row).holder, &holder);
      EXPECT_EQ(holdings.previous(row), before);
      before = row;
      jobs.push_back(holdings.at(row).job);
    }
    EXPECT_EQ(holdings.last(holder), before);
    EXPECT_EQ(holder.jobs(), jobs.size());
    return jobs;
  }
  std::size_t rows_of(JobRow job) const {
    std::size_t rows = 0;
    for (HoldingRow row = holdings.first_of(job); row != kNoHolding; row = holdings.next_of_job(row)) ++rows;
    return rows;
  }

  Limits limits;
  Holdings holdings{limits};
  Holder anna{SessionId{11}, kAnna};
  Holder anna_again{SessionId{12}, kAnna};
  Holder bert{SessionId{21}, kBert};
  std::map<JobRow, std::uint32_t> attempts;
  Time now{seconds(100)};
};

using Jobs = std::vector<JobRow>;

TEST_F(HoldingsTest, KeepsAListOfEachSessionInTheOrderInWhichItGotItsJobs) {
  const HoldingRow first = give(anna, 3);
  const HoldingRow second = give(anna, 1, 2);
  give(bert, 0);
  give(anna, 2);
  EXPECT_EQ(jobs_of(anna), (Jobs{3, 1, 2}));
  EXPECT_EQ(anna.slots(), 4u);
  EXPECT_EQ(anna.bytes(), 30u);
  EXPECT_EQ(holdings.live(), 4u);
  holdings.end(second);
  EXPECT_EQ(jobs_of(anna), (Jobs{3, 2}));
  EXPECT_EQ(anna.slots(), 2u);
  holdings.end(first);
  EXPECT_EQ(jobs_of(anna), Jobs{2});
  EXPECT_EQ(jobs_of(bert), Jobs{0});
  EXPECT_EQ(holdings.live(), 2u);
}

TEST_F(HoldingsTest, UsesARowAgain) {
  const HoldingRow row = give(anna, 1);
  holdings.end(row);
  EXPECT_EQ(give(bert, 2), row);
  EXPECT_EQ(holdings.first_of(1), kNoHolding);
  EXPECT_EQ(jobs_of(bert), Jobs{2});
}

TEST_F(HoldingsTest, AJobMayBeHeldByTwoSessionsAtOnce) {
  const HoldingRow at_anna = give(anna, 7);
  const HoldingRow at_bert = give(bert, 7);
  EXPECT_EQ(holdings.find(7, anna), at_anna);
  EXPECT_EQ(holdings.find(7, bert), at_bert);
  EXPECT_EQ(holdings.at(at_anna).attempt, 1u);
  EXPECT_EQ(holdings.at(at_bert).attempt, 2u);
  EXPECT_EQ(holdings.live_of(7), at_bert);
  // One of them fails: the other goes on.
  holdings.end(at_bert);
  EXPECT_EQ(holdings.live_of(7), at_anna);
  EXPECT_EQ(jobs_of(bert), Jobs{});
  give(bert, 7);
  holdings.end_all(7);
  EXPECT_EQ(holdings.live_of(7), kNoHolding);
  EXPECT_EQ(holdings.live(), 0u);
  EXPECT_EQ(jobs_of(anna), Jobs{});
}

TEST_F(HoldingsTest, OnlyWhatWasSentInThisSessionIsRecalledAndOnlyOnce) {
  const HoldingRow sent = give(anna, 1);
  EXPECT_TRUE(holdings.recall(sent, now));
  EXPECT_EQ(std::get<Recalled>(holdings.at(sent).phase).since, now);
  EXPECT_FALSE(holdings.recall(sent, now));
  const HoldingRow named = holdings.adopt(anna, {.job = 2, .attempt = 1}, now);
  EXPECT_FALSE(holdings.recall(named, now));  // it runs
  const HoldingRow stopped = give(anna, 3);
  EXPECT_TRUE(holdings.cancel(stopped));
  EXPECT_FALSE(holdings.recall(stopped, now));
}

TEST_F(HoldingsTest, IsCancelledOnceWhateverTheWorkerWasToldBefore) {
  const HoldingRow sent = give(anna, 1);
  const HoldingRow recalled = give(anna, 2);
  holdings.recall(recalled, now);
  const HoldingRow named = holdings.adopt(anna, {.job = 3, .attempt = 1}, now);
  for (const HoldingRow row : {sent, recalled, named}) {
    EXPECT_TRUE(holdings.cancel(row));
    EXPECT_TRUE(holdings.at(row).is<Cancelled>());
    EXPECT_FALSE(holdings.cancel(row));
  }
}

TEST_F(HoldingsTest, ANewSessionInheritsEverythingInOrderAndKnowsNothingOfItYet) {
  const HoldingRow first = give(anna, 1);
  const HoldingRow second = give(anna, 2);
  holdings.cancel(second);
  holdings.inherit(anna, anna_again);
  EXPECT_EQ(jobs_of(anna), Jobs{});
  EXPECT_EQ(jobs_of(anna_again), (Jobs{1, 2}));
  EXPECT_EQ(anna.slots(), 0u);
  EXPECT_EQ(anna_again.slots(), 2u);
  for (const HoldingRow row : {first, second}) {
    EXPECT_TRUE(holdings.at(row).is<Inherited>());
    EXPECT_EQ(holdings.at(row).handle, Handle{});
    EXPECT_FALSE(holdings.recall(row, now));
    EXPECT_FALSE(holdings.cancel(row));
  }
  holdings.confirm(first, 1, now - seconds(5), now - seconds(5));
  EXPECT_TRUE(holdings.at(first).is<Confirmed>());
  EXPECT_EQ(holdings.at(first).since, now - seconds(5));
  EXPECT_TRUE(holdings.cancel(first));
}

TEST_F(HoldingsTest, WhenItBeganIsKnownOnceTheWorkerHasSaidSo) {
  const HoldingRow row = give(anna, 1);
  EXPECT_FALSE(holdings.at(row).begun);
  holdings.note_begun(row, now + seconds(1));
  EXPECT_EQ(holdings.at(row).begun, now + seconds(1));
  holdings.note_begun(row, now + seconds(3));
  EXPECT_EQ(holdings.at(row).begun, now + seconds(1)) << "the first word counts";
  holdings.end(row);
  const HoldingRow again = give(anna, 2);
  ASSERT_EQ(again, row);
  EXPECT_FALSE(holdings.at(again).begun) << "that was another job";
  holdings.note_begun(again, now - seconds(9));
  EXPECT_EQ(holdings.at(again).begun, now) << "not before it was given";
  holdings.inherit(anna, anna_again);
  holdings.confirm(again, 1, now - seconds(5), now - seconds(5));
  EXPECT_EQ(holdings.at(again).begun, now - seconds(5)) << "named in HELD";
}

TEST_F(HoldingsTest, OneThatHasEndedIsHeldButHasNoSlots) {
  const HoldingRow first = give(anna, 1, 2);
  const HoldingRow second = give(anna, 2);
  give(anna, 3, 2);
  EXPECT_TRUE(holdings.note_ended(first, now));
  EXPECT_FALSE(holdings.note_ended(first, now)) << "told twice";
  EXPECT_EQ(std::get<Doubtful>(holdings.at(first).phase).since, now);
  EXPECT_EQ(jobs_of(anna), (Jobs{1, 2, 3}));
  EXPECT_EQ(anna.slots(), 3u);
  EXPECT_EQ(anna.doubtful(), 1u);
  EXPECT_FALSE(holdings.recall(first, now)) << "there is nothing to return";
  // What runs is found behind it.
  const Holdings::Running running = holdings.running(anna, 3);
  EXPECT_EQ(running.jobs, 2u);
  EXPECT_EQ(running.slots, 3u);
  EXPECT_EQ(running.next, kNoHolding);
  holdings.recall(second, now);
  EXPECT_TRUE(holdings.note_ended(second, now)) << "it ran when it was asked for";
  holdings.end(first);
  EXPECT_EQ(anna.slots(), 2u);
  EXPECT_EQ(anna.doubtful(), 1u);
  holdings.give_up(second);
  EXPECT_EQ(anna.slots(), 2u);
  EXPECT_EQ(anna.doubtful(), 0u);
}

TEST_F(HoldingsTest, OneThatHasEndedIsCancelledOnceAndItsSlotsStayFree) {
  const HoldingRow row = give(anna, 1, 2);
  holdings.note_ended(row, now);
  EXPECT_TRUE(holdings.cancel(row));
  EXPECT_FALSE(holdings.cancel(row));
  EXPECT_EQ(anna.slots(), 0u);
  const HoldingRow other = give(anna, 2, 2);
  holdings.cancel(other);
  EXPECT_FALSE(holdings.note_ended(other, now)) << "what becomes of it is known in a moment";
  EXPECT_EQ(anna.slots(), 2u);
}

TEST_F(HoldingsTest, OnlyWhatWasGivenInThisSessionCanHaveEnded) {
  EXPECT_FALSE(holdings.note_ended(holdings.adopt(anna, {.job = 1, .attempt = 1}, now), now));
  holdings.note_ended(give(anna, 2, 3), now);
  holdings.inherit(anna, anna_again);
  EXPECT_EQ(anna.doubtful(), 0u);
  EXPECT_EQ(anna_again.doubtful(), 0u);
  EXPECT_EQ(anna_again.slots(), 4u) << "its new session must name it, as any job";
  EXPECT_FALSE(holdings.note_ended(holdings.find(2, anna_again), now));
}

TEST_F(HoldingsTest, OnlySoManyAreBelievedToHaveEnded) {
  for (JobRow job = 0; job < Holdings::kDoubtfulMost; ++job)
    ASSERT_TRUE(holdings.note_ended(give(anna, job), now));
  const HoldingRow more = give(anna, Holdings::kDoubtfulMost);
  EXPECT_FALSE(holdings.note_ended(more, now));
  EXPECT_EQ(anna.slots(), 1u);
  holdings.end(holdings.first(anna));
  EXPECT_TRUE(holdings.note_ended(more, now));
}

TEST_F(HoldingsTest, WhatIsGivenUpIsInNoListButRememberedWithItsJob) {
  const HoldingRow row = give(anna, 1);
  holdings.give_up(row);
  EXPECT_EQ(jobs_of(anna), Jobs{});
  EXPECT_EQ(holdings.live(), 0u);
  EXPECT_EQ(holdings.live_of(1), kNoHolding);
  EXPECT_EQ(holdings.find(1, anna), kNoHolding);
  EXPECT_EQ(holdings.find(1, kAnna), row);
  EXPECT_EQ(holdings.find(1, kBert), kNoHolding);
  EXPECT_EQ(holdings.at(row).attempt, 1u);
  EXPECT_FALSE(holdings.cancel(row));
  // Another gets it, and it is still known that the first one had it.
  give(bert, 1);
  EXPECT_EQ(holdings.find(1, kAnna), row);
  EXPECT_EQ(rows_of(1), 2u);
  holdings.end_all(1);
  EXPECT_EQ(holdings.find(1, kAnna), kNoHolding);
}

TEST_F(HoldingsTest, GivenToTheSameWorkerAgainTheOldOneIsForgotten) {
  holdings.give_up(give(anna, 1));
  const HoldingRow again = give(anna_again, 1);
  EXPECT_EQ(holdings.find(1, kAnna), again);
  EXPECT_EQ(rows_of(1), 1u);
}

TEST_F(HoldingsTest, OnlyTheLastOfThoseWhoGaveNoAnswerAreRemembered) {
  std::vector<std::unique_ptr<Holder>> holders;
  for (std::uint64_t worker = 50; worker < 60; ++worker) {
    holders.push_back(std::make_unique<Holder>(SessionId{worker}, WorkerId{worker}));
    holdings.give_up(give(*holders.back(), 1));
  }
  EXPECT_EQ(rows_of(1), Holdings::kGivenUpMost);
  EXPECT_EQ(holdings.find(1, WorkerId{55}), kNoHolding);
  EXPECT_NE(holdings.find(1, WorkerId{56}), kNoHolding);
  EXPECT_NE(holdings.find(1, WorkerId{59}), kNoHolding);
}

TEST_F(HoldingsTest, TheFirstThatFitTheSlotsTogetherRun) {
  give(anna, 1);
  give(anna, 2, 2);
  give(anna, 3, 2);
  give(anna, 4);
  // The worker does not start the last one before the wide one in front of it.
  const Holdings::Running running = holdings.running(anna, 4);
  EXPECT_EQ(running.jobs, 2u);
  EXPECT_EQ(running.slots, 3u);
  EXPECT_EQ(holdings.at(running.next).job, 3u);
  EXPECT_EQ(holdings.running(anna, 6).jobs, 4u);
  EXPECT_EQ(holdings.running(anna, 6).next, kNoHolding);
  EXPECT_EQ(holdings.running(bert, 4).jobs, 0u);
}

TEST_F(HoldingsTest, IsAloneAsLongAsItHoldsTheJobThatMustBe) {
  const HoldingRow row = holdings.give(anna, {.job = 1, .attempt = 1, .alone = true});
  EXPECT_TRUE(anna.alone());
  holdings.inherit(anna, anna_again);
  EXPECT_FALSE(anna.alone());
  EXPECT_TRUE(anna_again.alone());
  holdings.end(row);
  EXPECT_FALSE(anna_again.alone());
}

}  // namespace
}  // namespace workpool::dispatcher
