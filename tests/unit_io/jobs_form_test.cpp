// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_form.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit_io/jobs_fixture.h"

namespace workpool::dispatcher {
namespace {

TEST_F(JobsOnDisk, AFirstLineOfDefaultsIsForAllJobs) {
  const std::string text =
      "\xef\xbb\xbf\n {\"defaults\":{\"cwd\":\"/d\",\"timeout\":8,\"labels\":[\"l\"]}}\n{\"cmd\":[\"a\"]}\n"
      "{\"type\":\"x\",\"args\":[1],\"timeout\":1}\n";
  for (const std::uint64_t segment : {std::uint64_t{1} << 20, std::uint64_t{7}}) {
    IndexOptions small;
    small.segment_bytes = segment;
    Indexed jobs(write(text), small);
    ASSERT_TRUE(jobs.report.ok()) << format_errors("jobs", jobs.report);
    ASSERT_EQ(jobs.index.size(), 2U);
    EXPECT_EQ(jobs.index.entry(0).line, 3U);
    Bell bell;
    JobDefaults given;
    given.retries = 3;
    JobsReader reader(jobs.input.fd(), form_in(jobs.input, JobsFormat::kJsonLines, given), jobs.index,
                      bell.ring());
    const LoadedJobs loaded = load_all(reader, bell, {0, 1});
    ASSERT_EQ(loaded.jobs.size(), 2U) << "the index and the reader see the same jobs";
    EXPECT_EQ(loaded.jobs[0].work, "{\"cmd\":[\"a\"],\"cwd\":\"/d\"}");
    EXPECT_EQ(loaded.jobs[0].facts.timeout, seconds(8));
    EXPECT_EQ(loaded.jobs[0].facts.retries, 3U);
    EXPECT_EQ(loaded.jobs[1].facts.timeout, seconds(1));
    EXPECT_EQ(jobs.index.requirements()[loaded.jobs[1].facts.requirement].labels.size(), 1U);
  }
}

TEST_F(JobsOnDisk, DefaultsThatAreWrongOrElsewhereAreErrors) {
  const auto errors = [&](const std::string& text) {
    return format_errors("jobs", Indexed(write(text)).report);
  };
  EXPECT_EQ(errors("\n{\"defaults\":{\"cwd\":1}}\n{\"cmd\":[]}\n"),
            "jobs:2:20: \"cwd\" must be a string that is not empty: the folder to run in")
      << "and nothing about lines that depend on it";
  EXPECT_EQ(errors("{\"cmd\":[\"a\"]}\n{\"defaults\":{}}\n"),
            "jobs:2:2: \"defaults\" must be in the first line of the jobs, without a job");
  EXPECT_EQ(errors("{\"defaults\":{}}\n{\"defaults\":{}}\n"),
            "jobs:2:2: \"defaults\" must be in the first line of the jobs, without a job");
  EXPECT_EQ(errors("{\"defaults\":{}}\n"), "") << "no job is no error";
}

}  // namespace
}  // namespace workpool::dispatcher
