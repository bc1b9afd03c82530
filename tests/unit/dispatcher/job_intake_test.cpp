// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_intake.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool::dispatcher {
namespace {

using Past = JobRegister::Past;

class IntakeTest : public testing::Test {
 protected:
  // "run ID", "done ID" or why it is refused.
  std::string take(std::uint64_t line, const std::string& id, const std::string& work = "work") {
    facts_ = {};
    facts_.line = line;
    facts_.id = id;
    facts_.spec = spec_of_work(work);
    const auto taken = JobIntake(ids_, resumable_, retry_failed_).take(facts_);
    if (const auto* refused = std::get_if<JobIntake::Refused>(&taken)) {
      EXPECT_EQ(facts_.id, "L" + std::to_string(line));
      EXPECT_EQ(facts_.key, Key{}) << "it must not stand for the job that has the id";
      return refused->message;
    }
    EXPECT_EQ(facts_.key, key_of_id(facts_.full_id()));
    return (std::holds_alternative<JobIntake::Done>(taken) ? "done " : "run ") + facts_.full_id();
  }
  void recorded() { JobIntake(ids_, resumable_, retry_failed_).recorded(facts_); }
  void remember(const std::string& id, Past past, const std::string& work = "work") {
    ids_.remember(key_of_id(id), spec_of_work(work), past);
  }
  static std::string digest(std::uint64_t repeat, const std::string& work = "work") {
    return default_id(spec_of_work(work), repeat);
  }

  JobRegister ids_;
  bool resumable_ = true;
  bool retry_failed_ = false;
  JobFacts facts_;
};

// A repeated id was invalid or ran twice, depending on whether the first job was recorded by then.
TEST_F(IntakeTest, AnIdThatHasComeIsRefusedAlwaysWhereResultsResume) {
  const std::string refusal = "the id \"a\" has come before: give each job an id of its own";
  EXPECT_EQ(take(1, "a"), "run a");
  EXPECT_EQ(take(2, "a"), refusal);
  recorded();
  EXPECT_EQ(take(3, "a"), refusal);
  EXPECT_EQ(take(4, "a", "other work"), refusal);
  EXPECT_EQ(take(5, "b"), "run b");
}

TEST_F(IntakeTest, AnIdThatWasDoneBeforeComesOnceToo) {
  remember("a", Past::kOk);
  EXPECT_EQ(take(1, "a"), "done a");
  EXPECT_NE(take(2, "a").find("has come before"), std::string::npos);
}

TEST_F(IntakeTest, JobsWithoutAnIdAreKnownByTheirWork) {
  EXPECT_EQ(take(1, ""), "run " + digest(1));
  EXPECT_EQ(take(2, ""), "run " + digest(2));
  EXPECT_EQ(take(7, "", "other"), "run " + digest(1, "other"));
  EXPECT_EQ(facts_.id, "");
  EXPECT_EQ(facts_.repeat, 1U);
  EXPECT_EQ(take(8, ""), "run " + digest(3));
  EXPECT_EQ(facts_.repeat, 3U);
}

TEST_F(IntakeTest, TheSameJobsResumeWhateverTheirLines) {
  remember(digest(1), Past::kOk);
  remember(digest(2), Past::kFailed);
  EXPECT_EQ(take(11, ""), "done " + digest(1));
  EXPECT_EQ(take(12, ""), "done " + digest(2));
  EXPECT_EQ(take(13, ""), "run " + digest(3));
}

TEST_F(IntakeTest, WhatIsNotOkRunsAgainIfAskedFor) {
  retry_failed_ = true;
  remember("a", Past::kOk);
  remember("b", Past::kTimeout);
  EXPECT_EQ(take(1, "a"), "done a");
  EXPECT_EQ(take(2, "b"), "run b");
}

TEST_F(IntakeTest, ChangedWorkRunsAgain) {
  remember("a", Past::kOk, "old work");
  EXPECT_EQ(take(1, "a"), "run a");
}

TEST_F(IntakeTest, ResultsOfVersionsThatNamedJobsByLine) {
  remember("L3", Past::kOk);
  EXPECT_EQ(take(3, ""), "done " + digest(1));
  EXPECT_EQ(take(4, ""), "run " + digest(2));
  EXPECT_EQ(take(5, "", "other"), "run " + digest(1, "other"));
}

TEST_F(IntakeTest, AnIdThatIsSomebodysDefaultId) {
  EXPECT_EQ(take(1, digest(1)), "run " + digest(1));
  EXPECT_NE(take(2, "").find("has come before"), std::string::npos);
  EXPECT_EQ(take(3, "", "other"), "run " + digest(1, "other"));
  EXPECT_NE(take(4, digest(1, "other")).find("has come before"), std::string::npos);
}

TEST_F(IntakeTest, WithoutResultsThatResumeOnlyOpenIdsAreKnown) {
  resumable_ = false;
  EXPECT_EQ(take(1, ""), "run L1");
  const JobFacts first = facts_;
  EXPECT_EQ(take(2, "L1"),
            "the id \"L1\" belongs to a job that is still open: give each job an id of its own");
  recorded();  // of a line that is no job
  EXPECT_NE(take(3, "L1").find("still open"), std::string::npos);
  facts_ = first;
  recorded();
  EXPECT_EQ(take(4, "L1"), "run L1");
  EXPECT_EQ(take(4, ""), "run L4");
  EXPECT_EQ(ids_.size(), 2U) << "a run may go on forever";
}

}  // namespace
}  // namespace workpool::dispatcher
