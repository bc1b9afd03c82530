// SPDX-License-Identifier: MIT
// Who is benched, what is withdrawn, and how a worker comes back.
#include "dispatcher/core/bench.h"

#include <deque>

#include "tests/unit/dispatcher/core_fixture.h"

namespace workpool::dispatcher {
namespace {

class BenchTest : public CoreTest {
 protected:
  BenchTest() {
    options.may_withdraw = true;
    ran = milliseconds(5);
    on_step = [this](Time, const Actions& actions) {
      for (const Action& action : actions) {
        if (const auto* report = std::get_if<Report>(&action)) reports.push_back(*report);
        if (const auto* persist = std::get_if<Persist>(&action)) lines += persist->entries.size();
      }
    };
  }

  // The next job that the worker has; the test fails if it has none.
  JobNumber next(const std::string& name) {
    for (const JobNumber job : take_given(name)) has_[name].push_back(job);
    std::deque<JobNumber>& has = has_[name];
    if (has.empty()) {
      ADD_FAILURE() << name << " has nothing to do";
      return 0;
    }
    const JobNumber job = has.front();
    has.pop_front();
    return job;
  }
  bool has_work(const std::string& name) {
    for (const JobNumber job : take_given(name)) has_[name].push_back(job);
    return !has_[name].empty();
  }
  Numbers fail(const std::string& name, int count, Status status = Status::kFailed) {
    Numbers failed;
    for (int i = 0; i < count; ++i) {
      failed.push_back(next(name));
      ends(name, failed.back(), status);
    }
    return failed;
  }
  JobNumber succeed(const std::string& name) {
    const JobNumber job = next(name);
    ends(name, job);
    return job;
  }
  // What it has and has not begun goes back, as after a RECALL.
  void give_back(const std::string& name) {
    has_work(name);
    for (const JobNumber job : std::exchange(has_[name], {})) returns(name, job);
    drain();
  }

  template <class Wanted>
  std::vector<Wanted> all() const {
    std::vector<Wanted> found;
    for (const Report& report : reports) {
      if (const auto* wanted = std::get_if<Wanted>(&report)) found.push_back(*wanted);
    }
    return found;
  }
  std::uint64_t withdrawn() const {
    std::uint64_t count = 0;
    for (const auto& report : all<FailuresWithdrawn>()) count += report.failures.size();
    return count;
  }
  void TearDown() override {
    discard_decisions();
    CoreTest::TearDown();
  }

  std::vector<Report> reports;
  std::uint64_t lines = 0;  // of the journal

 private:
  std::map<std::string, std::deque<JobNumber>> has_;
};

TEST_F(BenchTest, WhatFailsOnlyThereIsTriedElsewhereAndWithdrawn) {
  submit(40);
  start();
  worker("good", 1);
  worker("bad", 1);
  const Numbers failed = fail("bad", 10);
  EXPECT_EQ(withdrawn(), 0U) << "it is not known whether others could do better";
  EXPECT_EQ(snapshot().failed, 10U);
  succeed("good");
  drain();
  advance(milliseconds(100));
  EXPECT_EQ(withdrawn(), 1U) << "one is tried elsewhere";
  EXPECT_EQ(snapshot().failed, 9U);
  EXPECT_TRUE(all<WorkerBenched>().empty());
  give_back("bad");
  EXPECT_FALSE(has_work("bad")) << "it waits for the verdict";
  // The job on trial comes before others, and is ok.
  JobNumber tried = succeed("good");
  while (tried != failed.back()) tried = succeed("good");
  advance(milliseconds(100));
  const auto benched = all<WorkerBenched>();
  ASSERT_EQ(benched.size(), 1U);
  EXPECT_EQ(benched[0].name, "bad");
  EXPECT_EQ(benched[0].failed, 10U);
  EXPECT_EQ(benched[0].elsewhere_failed, 0U);
  EXPECT_GE(benched[0].elsewhere_ended, 2U);
  EXPECT_EQ(benched[0].withdrawn, 9U);
  EXPECT_EQ(withdrawn(), 10U);
  EXPECT_EQ(snapshot().failed, 0U);
  EXPECT_EQ(snapshot().total, 40U);
  while (snapshot().ok < 40) succeed("good");
  EXPECT_FALSE(has_work("bad"));
  drain();
  EXPECT_TRUE(std::get<AllRecorded>(expect<RunOver>()->end).all_ok);
  EXPECT_EQ(lines, 40U + 10U + 2U) << "each job's line, the withdrawn ones, two names";
}

TEST_F(BenchTest, AJobThatFailsElsewhereTooAcquitsIt) {
  submit(60);
  start();
  worker("good", 1);
  worker("unlucky", 1);
  const Numbers failed = fail("unlucky", 10);
  succeed("good");
  advance(milliseconds(100));
  EXPECT_EQ(withdrawn(), 1U);
  JobNumber tried = next("good");
  for (; tried != failed.back(); tried = next("good")) ends("good", tried);
  ends("good", tried, Status::kFailed);
  advance(milliseconds(100));
  EXPECT_TRUE(all<WorkerBenched>().empty());
  EXPECT_EQ(withdrawn(), 1U) << "the other failures stand";
  EXPECT_EQ(snapshot().failed, 10U);
  EXPECT_TRUE(has_work("unlucky"));
}

TEST_F(BenchTest, JobsThatFailEverywhereBenchNobody) {
  submit(400);
  start();
  worker("w1", 1);
  worker("w2", 1);
  for (int i = 0; i < 50; ++i) {
    fail("w1", 1);
    fail("w2", 2);
    if (i % 10 == 9) succeed("w1");  // one in fifteen
    advance(milliseconds(60));
  }
  EXPECT_TRUE(all<WorkerBenched>().empty());
  EXPECT_EQ(withdrawn(), 0U);
}

TEST_F(BenchTest, SlowFailuresAreTheJobsOwn) {
  submit(60);
  start();
  worker("good", 1);
  worker("slow", 1);
  ran = milliseconds(1001);
  for (int i = 0; i < 20; ++i) {
    advance(seconds(2));
    fail("slow", 1);
  }
  ran = milliseconds(5);
  succeed("good");
  advance(milliseconds(100));
  EXPECT_EQ(withdrawn(), 0U);
}

TEST_F(BenchTest, AnOkEndsTheStreak) {
  submit(60);
  start();
  worker("good", 1);
  worker("mixed", 1);
  fail("mixed", 9);
  succeed("mixed");
  fail("mixed", 9);
  succeed("good");
  advance(milliseconds(100));
  EXPECT_EQ(withdrawn(), 0U);
}

TEST_F(BenchTest, NeverTheLastOneForARequirement) {
  handlers = {"noop"};
  submit(40);
  submit(1, {.type = "rare"});
  start();
  worker("good", 1);
  handlers = {"noop", "rare"};
  worker("bad", 1);
  fail("bad", 12);
  succeed("good");
  advance(milliseconds(100));
  succeed("good");
  advance(seconds(1));
  EXPECT_TRUE(all<WorkerBenched>().empty());
  EXPECT_EQ(withdrawn(), 0U);
}

TEST_F(BenchTest, TwoBadOnesOfThreeDoNotProtectEachOther) {
  submit(300);
  start();
  worker("good", 1);
  worker("bad1", 1);
  worker("bad2", 1);
  for (int i = 0; i < 20; ++i) {
    fail("bad1", 1);
    fail("bad2", 1);
  }
  succeed("good");
  advance(milliseconds(100));
  EXPECT_EQ(withdrawn(), 2U) << "one of each is tried elsewhere";
  give_back("bad1");
  give_back("bad2");
  for (int i = 0; i < 30 && all<WorkerBenched>().size() < 2; ++i) {
    succeed("good");
    advance(milliseconds(100));
  }
  EXPECT_EQ(all<WorkerBenched>().size(), 2U);
  EXPECT_EQ(snapshot().failed, 0U);
}

TEST_F(BenchTest, AFailureThatNobodyElseCouldRunStands) {
  submit(3, {.type = "rare"});
  submit(60);
  start();
  worker("good", 1);
  handlers = {"rare"};
  worker("bad", 1);
  const Numbers failed = fail("bad", 13);
  EXPECT_EQ((Numbers{failed.begin(), failed.begin() + 3}), (Numbers{0, 1, 2}));
  succeed("good");
  advance(milliseconds(100));
  give_back("bad");
  for (int i = 0; i < 20 && all<WorkerBenched>().empty(); ++i) {
    succeed("good");
    advance(milliseconds(100));
  }
  ASSERT_EQ(all<WorkerBenched>().size(), 1U);
  EXPECT_EQ(all<WorkerBenched>()[0].failed, 13U);
  EXPECT_EQ(withdrawn(), 10U);
  EXPECT_EQ(snapshot().failed, 3U);
}

class OnTheBench : public BenchTest {
 protected:
  // `bad` is benched, `good` has one slot.
  void bench(int jobs) {
    submit(jobs);
    start();
    worker("good", 1);
    worker("bad", 1);
    fail("bad", 10);
    succeed("good");
    advance(milliseconds(100));
    give_back("bad");
    for (int i = 0; i < 20 && all<WorkerBenched>().empty(); ++i) {
      succeed("good");
      advance(milliseconds(100));
    }
    ASSERT_EQ(all<WorkerBenched>().size(), 1U);
    reports.clear();
  }
};

TEST_F(OnTheBench, GetsAJobAMinuteAndIsBackWhenThatIsOk) {
  bench(100);
  EXPECT_FALSE(has_work("bad"));
  advance(seconds(58));
  EXPECT_FALSE(has_work("bad"));
  advance(seconds(3));
  ASSERT_TRUE(has_work("bad"));
  const std::uint64_t before = snapshot().failed;
  fail("bad", 1);
  EXPECT_EQ(snapshot().failed, before) << "it says nothing about the job, which goes to another worker";
  EXPECT_EQ(all<JobMoved>().size(), 1U);
  EXPECT_FALSE(has_work("bad"));
  advance(seconds(61));
  EXPECT_TRUE(has_work("bad"));
  EXPECT_TRUE(all<WorkerUnbenched>().empty());
  succeed("bad");
  advance(milliseconds(100));
  ASSERT_EQ(all<WorkerUnbenched>().size(), 1U);
  EXPECT_EQ(all<WorkerUnbenched>()[0].why, BackBecause::kProbeOk);
  drain();
  EXPECT_TRUE(has_work("bad"));
}

TEST_F(OnTheBench, IsSaidToBeBackIfMoreJobsMayCome) {
  options.streaming = true;
  bench(30);
  while (has_work("good")) {
    succeed("good");
    advance(milliseconds(100));
  }
  ASSERT_EQ(snapshot().ok, 30U);
  ASSERT_EQ(all<WorkerUnbenched>().size(), 1U);
  EXPECT_EQ(all<WorkerUnbenched>()[0].why, BackBecause::kNothingLeft);
}

TEST_F(OnTheBench, IsNotSaidToBeBackAtTheEnd) {
  bench(30);
  while (has_work("good")) {
    succeed("good");
    advance(milliseconds(100));
  }
  ASSERT_EQ(snapshot().ok, 30U);
  EXPECT_TRUE(all<WorkerUnbenched>().empty());
}

TEST_F(OnTheBench, ComesBackWhenTheOthersHaveLeft) {
  bench(100);
  say("good", Ready{false});
  drain();
  advance(milliseconds(100));
  ASSERT_EQ(all<WorkerUnbenched>().size(), 1U);
  EXPECT_EQ(all<WorkerUnbenched>()[0].why, BackBecause::kNeeded);
  drain();
  EXPECT_TRUE(has_work("bad"));
}

TEST_F(OnTheBench, StaysThereInALaterSession) {
  bench(100);
  new_engine("bad");
  say("bad", Held{});
  say("bad", Ready{});
  drain();
  EXPECT_FALSE(has_work("bad"));
}

TEST_F(OnTheBench, WhatIsWithdrawnAndNotRunAgainIsStillAFailureOfTheResults) {
  bench(100);
  const std::uint64_t ok = snapshot().ok;
  EXPECT_EQ(snapshot().failed, 0U);
  step(StopRequested{});
  step(StopRequested{});
  step(StopRequested{});
  EXPECT_EQ(snapshot().phase, "over");
  EXPECT_EQ(snapshot().ok, ok);
  EXPECT_EQ(snapshot().failed, 9U) << "all but the one that was tried elsewhere";
}

TEST_F(BenchTest, FromAPipeNothingIsWithdrawnAndTheCountsDecide) {
  options.may_withdraw = false;
  submit(80);
  start();
  worker("good", 1);
  worker("bad", 1);
  fail("bad", 10);
  for (int i = 0; i < 12; ++i) succeed("good");
  advance(milliseconds(100));
  EXPECT_EQ(all<WorkerBenched>().size(), 1U);
  EXPECT_EQ(withdrawn(), 0U);
  EXPECT_EQ(snapshot().failed, 10U);
}

}  // namespace
}  // namespace workpool::dispatcher
