// SPDX-License-Identifier: MIT
#include "dispatcher/core/requirement_class.h"

#include <gtest/gtest.h>

namespace workpool::dispatcher {
namespace {

using Numbers = std::vector<std::uint32_t>;

Requirement labelled(const std::string& label) { return {"", {label}, 1}; }

TEST(RunTime, IsUnknownAtFirst) { EXPECT_FALSE(RunTime().mean()); }

TEST(RunTime, IsAMeanThatForgets) {
  RunTime time;
  time.ok(milliseconds(100));
  EXPECT_EQ(time.mean(), milliseconds(100));
  for (int i = 0; i < 200; ++i) time.ok(milliseconds(10));
  EXPECT_LT(*time.mean(), milliseconds(11));
}

TEST(RunTime, CanBeDividedBy) {
  RunTime time;
  time.ok(Duration{0});
  EXPECT_EQ(time.mean(), Duration{1});
}

TEST(RunTime, OfTinyJobsComesDownToThem) {
  RunTime time;
  time.ok(milliseconds(5));  // the first one of a cold handler
  for (int i = 0; i < 500; ++i) time.ok(microseconds(2));
  EXPECT_EQ(time.mean(), microseconds(2));
  for (int i = 0; i < 500; ++i) time.ok(microseconds(15));
  EXPECT_EQ(time.mean(), microseconds(15)) << "and up again";
}

TEST(RunTime, OfFailuresCountsUntilTheFirstOkJob) {
  RunTime time;
  time.failed(microseconds(3));
  EXPECT_EQ(time.mean(), microseconds(200)) << "the least that a failure counts as";
  time.ok(seconds(2));
  EXPECT_EQ(time.mean(), seconds(2)) << "nothing of the failures is left";
  time.failed(microseconds(3));
  EXPECT_EQ(time.mean(), seconds(2));
}

TEST(RunTime, OfMoreJobsCountsWhileNothingElseIsKnown) {
  const auto wider = std::make_shared<RunTime>();
  RunTime one(wider);
  RunTime other(wider);
  EXPECT_FALSE(one.mean());
  other.ok(seconds(2));
  EXPECT_EQ(one.mean(), seconds(2));
  one.ok(milliseconds(1));
  EXPECT_EQ(one.mean(), milliseconds(1));
  EXPECT_EQ(other.mean(), seconds(2));
}

TEST(RunTime, KnowsWhatWasCertainlyWork) {
  const auto wider = std::make_shared<RunTime>();
  RunTime time(wider);
  for (int i = 0; i < 63; ++i) time.ok(milliseconds(40));
  EXPECT_EQ(time.worked(milliseconds(40)), Duration{0}) << "while few have run";
  time.ok(milliseconds(40));
  EXPECT_EQ(RunTime(wider).worked(milliseconds(40)), milliseconds(40)) << "by those of all";
  EXPECT_EQ(time.worked(milliseconds(25)), milliseconds(25));
  EXPECT_EQ(time.worked(milliseconds(150)), milliseconds(40)) << "the rest may have been a wait";
  EXPECT_EQ(time.worked(milliseconds(161)), Duration{0}) << "took unusually long";
  for (int i = 0; i < 100; ++i) time.ok(milliseconds(400));
  EXPECT_LT(time.worked(milliseconds(200)), milliseconds(61)) << "a busy moment is not usual";
  for (int i = 0; i < 2000; ++i) time.ok(milliseconds(400));
  EXPECT_GT(time.worked(milliseconds(400)), milliseconds(390)) << "but another kind of work is";
}

TEST(RequirementClass, KnowsTheBestOfWhatIsBeingRead) {
  RequirementClass group({}, nullptr);
  EXPECT_FALSE(group.loading_rank());
  group.start_loading({0, 7});
  group.start_loading({0, 5});
  group.start_loading({-1, 2});
  EXPECT_EQ(group.loading_rank()->number, 5u);
  for (int i = 0; i < 3; ++i) group.end_loading();
  EXPECT_FALSE(group.loading_rank());
}

TEST(RequirementClasses, OfAFileKeepTheirNumbersForTheWholeRun) {
  RequirementClasses classes({labelled("a"), labelled("b")});
  EXPECT_EQ(classes.size(), 2u);
  EXPECT_EQ(classes.at(1).requirement(), labelled("b"));
  classes.take_changed();
  EXPECT_FALSE(classes.free_unused(1));
  EXPECT_TRUE(classes.used(1));
}

TEST(RequirementClasses, OfAStreamAreOneForEachRequirement) {
  RequirementClasses classes({});
  const std::uint32_t a = classes.number_of(labelled("a"));
  EXPECT_EQ(classes.number_of(labelled("a")), a);
  EXPECT_NE(classes.number_of(labelled("b")), a);
}

TEST(RequirementClasses, OfAStreamEndWithTheirLastJob) {
  RequirementClasses classes({});
  const std::uint32_t a = classes.number_of(labelled("a"));
  const std::uint64_t serial = classes.at(a).serial();
  classes.change(a).add_job();
  classes.take_changed();
  EXPECT_FALSE(classes.free_unused(a)) << "its job is open, wherever it is";
  classes.change(a).remove_job();
  classes.take_changed();
  ASSERT_TRUE(classes.free_unused(a));
  EXPECT_FALSE(classes.used(a));
  // Its number is used again, by a class that has nothing of it.
  EXPECT_EQ(classes.number_of(labelled("b")), a);
  EXPECT_EQ(classes.at(a).requirement(), labelled("b"));
  EXPECT_NE(classes.at(a).serial(), serial);
  EXPECT_EQ(classes.fitting(a), 0u);
  EXPECT_NE(classes.number_of(labelled("a")), a);
}

TEST(RequirementClasses, OfOneHandlerTellOfOneAnother) {
  RequirementClasses classes(
      {{"echo", {"a"}, 1}, {"echo", {"b"}, 2}, {"sleep", {"a"}, 1}, {"", {"a"}, 1}, {"", {"b"}, 1}});
  classes.change(0).run_time.ok(milliseconds(1));
  classes.change(3).run_time.ok(milliseconds(1));
  EXPECT_EQ(classes.at(1).run_time.mean(), milliseconds(1));
  EXPECT_FALSE(classes.at(2).run_time.mean());
  EXPECT_FALSE(classes.at(4).run_time.mean()) << "commands may be anything";
}

TEST(RequirementClasses, OfAStreamLeaveNothingOfTheirHandler) {
  RequirementClasses classes({});
  const std::uint32_t a = classes.number_of({"echo", {"a"}, 1});
  const std::uint32_t b = classes.number_of({"echo", {"b"}, 1});
  classes.change(a).run_time.ok(milliseconds(1));
  classes.take_changed();
  ASSERT_TRUE(classes.free_unused(a));
  EXPECT_EQ(classes.at(b).run_time.mean(), milliseconds(1));
  ASSERT_TRUE(classes.free_unused(b));
  EXPECT_FALSE(classes.at(classes.number_of({"echo", {"c"}, 1})).run_time.mean())
      << "as if it had never been";
}

TEST(RequirementClasses, TellWhatHasChangedOnce) {
  RequirementClasses classes({labelled("a"), labelled("b"), labelled("c")});
  EXPECT_EQ(classes.take_new(), (Numbers{0, 1, 2}));
  EXPECT_EQ(classes.take_changed(), (Numbers{0, 1, 2}));
  classes.change(2);
  classes.change(0);
  classes.change(2);
  EXPECT_EQ(classes.take_changed(), (Numbers{2, 0}));
  EXPECT_FALSE(classes.any_changed());
}

TEST(RequirementClasses, CountTheSessionsThatFit) {
  RequirementClasses classes({labelled("a")});
  classes.take_changed();
  classes.registers(0, true);
  EXPECT_EQ(classes.registered(0), 1u);
  EXPECT_TRUE(classes.take_changed().empty()) << "nobody takes its jobs yet";
  classes.takes_work(0, true);
  EXPECT_EQ(classes.take_changed(), Numbers{0});
  classes.takes_work(0, true);
  EXPECT_TRUE(classes.take_changed().empty()) << "it could be run before";
  EXPECT_EQ(classes.fitting(0), 2u);
  classes.takes_work(0, false);
  classes.takes_work(0, false);
  EXPECT_EQ(classes.take_changed(), Numbers{0});
}

}  // namespace
}  // namespace workpool::dispatcher
