// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_book.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool::dispatcher {
namespace {

// Ten jobs of one requirement, and two wide ones.
class JobBookTest : public testing::Test {
 protected:
  JobBookTest() {
    plain = index.requirement_number({});
    wide = index.requirement_number({"", {}, 4});
    for (JobNumber number = 0; number < 12; ++number) {
      const JobFacts facts = facts_of(number);
      index.add({facts.key.high, facts.spec.high, 0, number + 1, 0, facts.requirement, 0});
    }
    index.seal();
    index.open_queues(false);
    classes.emplace(index.requirements());
    book.emplace(index, *classes, 3);
  }

  JobFacts facts_of(JobNumber number) const {
    JobFacts facts;
    facts.number = number;
    facts.line = number + 1;
    facts.id = std::to_string(number);
    facts.key = key_of_id(facts.id);
    facts.spec = spec_of_work("work " + facts.id);
    facts.requirement = number < 10 ? plain : wide;
    facts.slots = number < 10 ? 1 : 4;
    return facts;
  }
  void answer() {
    for (const JobNumber number : load.jobs)
      book->loaded({facts_of(number), SharedBytes("work " + std::to_string(number))}, now);
    load.jobs.clear();
  }
  std::uint32_t assign_front() {
    const std::uint32_t row = book->front(plain)->row;
    book->assign(row);
    return row;
  }
  // Each job is open until it is recorded, whatever happens to it in between.
  void expect_open(std::uint64_t open) {
    EXPECT_EQ(book->open(), open);
    EXPECT_EQ(book->open(plain) + book->open(wide), open);
  }

  JobIndex index;
  std::uint32_t plain = 0;
  std::uint32_t wide = 0;
  std::optional<RequirementClasses> classes;
  std::optional<JobBook> book;
  Load load;
  Time now{seconds(5)};
};

TEST_F(JobBookTest, FetchesWhatIsWantedAndCountsWhatIsUnderWay) {
  book->fetch(plain, 4, load);
  EXPECT_EQ(load.jobs, (std::vector<JobNumber>{0, 1, 2, 3}));
  load.jobs.clear();
  book->fetch(plain, 4, load);
  EXPECT_TRUE(load.jobs.empty());
  expect_open(12);
}

TEST_F(JobBookTest, KeepsTheCountsOverAJobsLife) {
  book->fetch(plain, 2, load);
  answer();
  EXPECT_EQ(book->ready(plain), 2u);
  const std::uint32_t row = assign_front();
  EXPECT_EQ(book->assigned(), 1u);
  book->requeue(row, now, seconds(1));
  EXPECT_EQ(book->assigned(), 0u);
  EXPECT_EQ(book->delayed(), 1u);
  EXPECT_EQ(book->next_wake(), now + seconds(1));
  now += seconds(1);
  book->wake_due(now);
  EXPECT_EQ(book->delayed(), 0u);
  expect_open(12);
  // Its payload went with it: it is read again, before what was never read.
  book->fetch(plain, 3, load);
  EXPECT_EQ(load.jobs, (std::vector<JobNumber>{0, 2}));
  answer();
  EXPECT_EQ(assign_front(), row);
  book->finish(row);
  expect_open(11);
  EXPECT_EQ(book->assigned(), 0u);
}

TEST_F(JobBookTest, IsFoundByKeyBeforeItsLineIsRead) {
  const JobFacts facts = facts_of(7);
  const auto row = book->find(facts.key, facts.spec, load);
  ASSERT_TRUE(row);
  EXPECT_EQ(load.jobs, (std::vector<JobNumber>{7}));
  EXPECT_EQ(book->find(facts.key, facts.spec, load), row);
  EXPECT_EQ(load.jobs.size(), 1u);
  EXPECT_FALSE(book->at(*row).known);
  answer();
  EXPECT_TRUE(book->at(*row).known);
  EXPECT_EQ(book->front(plain)->row, row);
}

TEST_F(JobBookTest, IsNotFoundWithAnotherSpecOrOnceRecorded) {
  const JobFacts facts = facts_of(7);
  EXPECT_FALSE(book->find(facts.key, facts_of(6).spec, load));
  const auto row = book->find(facts.key, facts.spec, load);
  answer();
  book->finish(*row);
  EXPECT_FALSE(book->find(facts.key, facts.spec, load));
  expect_open(11);
}

TEST_F(JobBookTest, IgnoresALineOfAJobRecordedMeanwhile) {
  book->fetch(plain, 1, load);
  const auto row = book->find(facts_of(0).key, facts_of(0).spec, load);
  ASSERT_TRUE(row);
  book->finish(*row);
  EXPECT_FALSE(book->loaded({facts_of(0), SharedBytes("work 0")}, now));
  EXPECT_EQ(book->ready(plain), 0u);
  expect_open(11);
}

// A line that has changed under the run is left out of the answer to its Load.
TEST_F(JobBookTest, SkipsLinesThatAreNeverAnswered) {
  book->fetch(plain, 5, load);
  ASSERT_EQ(load.jobs, (std::vector<JobNumber>{0, 1, 2, 3, 4}));
  const auto second = book->loaded({facts_of(2), SharedBytes("work 2")}, now);
  ASSERT_TRUE(second);
  EXPECT_EQ(book->at(*second).facts.id, "2");
  EXPECT_EQ(book->front(plain)->row, second);
  const auto last = book->loaded({facts_of(4), SharedBytes("work 4")}, now);
  ASSERT_TRUE(last);
  EXPECT_EQ(book->ready(plain), 2u);
  EXPECT_EQ(book->assign(*second), "work 2");
  EXPECT_EQ(book->assign(*last), "work 4");
  // The others stay open, as jobs that are being read; nothing asks for their lines again.
  load.jobs.clear();
  book->fetch(plain, 3, load);
  EXPECT_TRUE(load.jobs.empty());
  EXPECT_EQ(book->ready(plain), 0u);
  expect_open(12);
}

TEST_F(JobBookTest, TakesAHeldJobWhileItsLineIsRead) {
  book->fetch(plain, 1, load);
  const auto row = book->find(facts_of(0).key, facts_of(0).spec, load);
  book->assign(*row);
  answer();  // the line comes: it stays where it is
  EXPECT_EQ(book->assigned(), 1u);
  EXPECT_EQ(book->ready(plain), 0u);
  book->requeue(*row, now, Duration{0});
  book->fetch(plain, 1, load);
  EXPECT_EQ(load.jobs, (std::vector<JobNumber>{0}));
}

TEST_F(JobBookTest, ReadsTheLinesOfJobsThatRunAlone) {
  book->fetch(plain, 1, load);
  answer();
  const std::uint32_t row = assign_front();
  for (int i = 0; i < 3; ++i) book->name_in_death(row);
  book->requeue(row, now, Duration{0});
  EXPECT_FALSE(book->front_alone(plain));
  book->fetch_alone(load);
  EXPECT_EQ(load.jobs, (std::vector<JobNumber>{0}));
  answer();
  EXPECT_EQ(book->front_alone(plain), row);
  EXPECT_FALSE(book->front(plain));
  expect_open(12);
}

TEST_F(JobBookTest, MovesAReadyJobToTheQueueItBelongsTo) {
  book->fetch(plain, 2, load);
  answer();
  const std::uint32_t row = book->front(plain)->row;
  for (int i = 0; i < 6; ++i) book->count_loss(row);
  EXPECT_EQ(book->front_alone(plain), row);
  EXPECT_EQ(book->ready(plain), 1u);
  EXPECT_EQ(book->assign(row), "work 0");
}

TEST_F(JobBookTest, FailuresTeachARunTimeUntilTheFirstOkJob) {
  EXPECT_FALSE(book->mean_run_time(plain));
  book->note_not_ok(plain, Status::kFailed, microseconds(3));
  EXPECT_EQ(book->mean_run_time(plain), microseconds(200)) << "the least that a failure counts as";
  book->note_not_ok(plain, Status::kFailed, milliseconds(10));
  EXPECT_GT(book->mean_run_time(plain), microseconds(200));
  EXPECT_FALSE(book->mean_run_time(wide)) << "each requirement for itself";
  book->note_ok(plain, seconds(2));
  EXPECT_EQ(book->mean_run_time(plain), seconds(2)) << "nothing of the failures is left";
  book->note_not_ok(plain, Status::kFailed, microseconds(3));
  EXPECT_EQ(book->mean_run_time(plain), seconds(2));
}

TEST_F(JobBookTest, KeepsTheOnlyCopyOfAPayloadUntilItsJobIsRecordedBesideJobsThatAreReadAgain) {
  JobFacts facts;
  facts.id = "arrived";
  facts.key = key_of_id(facts.id);
  facts.requirement = classes->number_of({"", {"label"}, 1});
  facts.number = 100;
  book->arrived({facts, SharedBytes("only copy")}, Time{});
  const auto row = book->find_active(facts.key);
  ASSERT_TRUE(row);
  EXPECT_TRUE(book->fetch(facts.requirement, 10, load));
  EXPECT_TRUE(load.jobs.empty()) << "it cannot be loaded";
  EXPECT_EQ(book->assign(*row), "only copy");
  book->requeue(*row, Time{}, Duration{0});
  EXPECT_EQ(book->ready(facts.requirement), 1u) << "its payload is here";
  EXPECT_EQ(book->assign(*row), "only copy");

  EXPECT_TRUE(book->fetch(plain, 1, load));
  ASSERT_EQ(load.jobs.size(), 1u);
  const auto of_file = book->loaded({facts_of(load.jobs[0]), SharedBytes("work")}, Time{});
  ASSERT_TRUE(of_file);
  EXPECT_EQ(book->assign(*of_file), "work");
  book->requeue(*of_file, Time{}, Duration{0});
  EXPECT_EQ(book->ready(plain), 0u) << "its line is to be read again";

  EXPECT_TRUE(book->find_active(facts.key));
  book->finish(*row);
  EXPECT_FALSE(book->find_active(facts.key));
  classes->take_changed();
  EXPECT_TRUE(book->free_class(facts.requirement));
}

// The index knows only the first half of a key, so a worker may name a job with a second half of its own, and
// the line of the job sets that right.
TEST_F(JobBookTest, ALineGivesItsJobTheKeyThatAWorkerHadWrong) {
  const JobFacts facts = facts_of(3);
  Key wrong = facts.key;
  ++wrong.low;
  const auto row = book->find(wrong, facts.spec, load);
  ASSERT_TRUE(row);
  EXPECT_EQ(book->find_active(wrong), row);
  answer();
  EXPECT_FALSE(book->find_active(wrong));
  EXPECT_EQ(book->find_active(facts.key), row);
  book->finish(*row);
  EXPECT_FALSE(book->find_active(facts.key));
  expect_open(11);
}

}  // namespace
}  // namespace workpool::dispatcher
