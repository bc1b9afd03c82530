// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_indexer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/unit_io/jobs_fixture.h"

namespace workpool::dispatcher {
namespace {

// ---- opening ----

TEST_F(JobsOnDisk, WhatCannotBeOpenedIsNamed) {
  const auto message = [](const std::string& path) {
    auto input = JobsInput::open(path);
    return std::holds_alternative<JobsProblem>(input) ? std::get<JobsProblem>(input).message : "opened";
  };
  EXPECT_NE(message(path("none")).find("none: no such file"), std::string::npos);
  std::filesystem::create_directory(path("folder"));
  EXPECT_NE(message(path("folder")).find("folder: is a directory"), std::string::npos);
  if (geteuid() != 0) {
    write("");
    chmod(path().c_str(), 0);
    EXPECT_NE(message(path()).find("Permission denied"), std::string::npos);
  }
  EXPECT_NE(message(path("a/b")).find("no such file"), std::string::npos);
  ASSERT_EQ(mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_FALSE(opened(path("fifo")).regular()) << "and without waiting for a writer";
  EXPECT_FALSE(opened("/dev/null").regular());
  EXPECT_TRUE(opened(write("")).regular());
}

// ---- index_jobs_file ----

TEST_F(JobsOnDisk, IndexesWhateverEndsALine) {
  Indexed jobs(write(
      "\xef\xbb\xbf{\"cmd\":\"a\"}\r\n\n  \n{\"cmd\":\"b\",\"id\":\"b\",\"priority\":3}\r\n{\"cmd\":\"a\"}"));
  ASSERT_TRUE(jobs.report.ok()) << format_errors("jobs", jobs.report);
  EXPECT_EQ(jobs.report.lines, 5U);
  ASSERT_EQ(jobs.index.size(), 3U);
  EXPECT_EQ(jobs.index.entry(0).offset, 3U);
  EXPECT_EQ(jobs.index.entry(0).line, 1U);
  EXPECT_EQ(jobs.index.entry(0).repeat, 1U);
  EXPECT_EQ(jobs.index.entry(1).line, 4U);
  EXPECT_EQ(jobs.index.entry(1).repeat, 0U);
  EXPECT_EQ(jobs.index.entry(1).priority, 3);
  EXPECT_EQ(jobs.index.entry(2).line, 5U);
  EXPECT_EQ(jobs.index.entry(2).repeat, 2U);
  EXPECT_EQ(jobs.index.find(key_of_id("b")), 1U);
  EXPECT_EQ(jobs.index.find(key_of_id(default_id(spec_of_work("{\"cmd\":\"a\"}"), 2))), 2U);
}

TEST_F(JobsOnDisk, AnEmptyFileHoldsNoJobs) {
  for (const char* text : {"", "\n", "\n\n  \n", "\xef\xbb\xbf"}) {
    Indexed jobs(write(text));
    EXPECT_TRUE(jobs.report.ok());
    EXPECT_EQ(jobs.index.size(), 0U);
  }
}

// Lines of every length, cut into segments at every place: each job is found once, with its line and offset.
TEST_F(JobsOnDisk, SegmentsMeetWithoutGapOrOverlap) {
  std::string text;
  std::vector<std::uint64_t> offsets;
  for (int i = 0; i < 60; ++i) {
    offsets.push_back(text.size());
    text += "{\"cmd\":\"" + std::string(static_cast<std::size_t>(i * 7 % 50) + 1, 'x') + std::to_string(i) +
            "\"}\n";
    if (i % 9 == 0) text += "\n";
  }
  const std::string file = write(text);
  for (std::uint64_t segment = 1; segment < 200; segment += segment < 20 ? 1 : 13) {
    for (const unsigned threads : {1U, 3U}) {
      if (threads == 3 && segment < 7) continue;  // thousands of threads prove nothing more
      Indexed jobs(file, {threads, segment});
      ASSERT_TRUE(jobs.report.ok()) << segment << ' ' << format_errors("jobs", jobs.report);
      ASSERT_EQ(jobs.index.size(), offsets.size()) << segment;
      for (std::uint64_t number = 0; number < offsets.size(); ++number) {
        ASSERT_EQ(jobs.index.entry(number).offset, offsets[number]) << segment;
        ASSERT_EQ(jobs.index.entry(number).line, 1 + number + (number + 8) / 9) << segment;
      }
    }
  }
}

TEST_F(JobsOnDisk, RequirementsAreOneListForTheWholeFile) {
  std::string text;
  for (int i = 0; i < 300; ++i) {
    text += "{\"type\":\"t" + std::to_string(i % 20) + "\",\"args\":" + std::to_string(i) + ",\"slots\":2}\n";
  }
  Indexed jobs(write(text), {2, 1000});
  ASSERT_TRUE(jobs.report.ok());
  ASSERT_EQ(jobs.index.requirements().size(), 20U);
  for (std::uint64_t number = 0; number < 300; ++number) {
    const auto& requirement = jobs.index.requirements()[jobs.index.entry(number).requirement];
    EXPECT_EQ(requirement.type, 't' + std::to_string(number % 20));
    EXPECT_EQ(requirement.slots, 2U);
  }
}

TEST_F(JobsOnDisk, TheFirstTwentyErrorsInTheOrderOfLines) {
  std::string text;
  for (int i = 1; i <= 100; ++i)
    text += i % 2 == 0 ? "{\"cmd\":\"a\",}\n" : "{\"cmd\":\"" + std::to_string(i) + "\"}\n";
  for (const std::uint64_t segment : {1 << 20, 64, 300}) {
    Indexed jobs(write(text), {2, segment});
    EXPECT_EQ(jobs.report.error_count, 50U);
    ASSERT_EQ(jobs.report.errors.size(), 20U);
    for (std::size_t i = 0; i < 20; ++i) {
      EXPECT_EQ(jobs.report.errors[i].line, 2 * (i + 1));
      EXPECT_EQ(jobs.report.errors[i].column, 11U);
    }
    const std::string shown = format_errors("jobs.jsonl", jobs.report);
    EXPECT_EQ(shown.substr(0, 16), "jobs.jsonl:2:11:");
    EXPECT_NE(shown.find("30 more errors"), std::string::npos);
  }
}

TEST_F(JobsOnDisk, DuplicateIdsNameBothLines) {
  Indexed jobs(write(
      "{\"cmd\":\"a\",\"id\":\"x\"}\n\n{\"id\": \"y\",\"cmd\":\"a\"}\n{\"cmd\":\"b\", \"id\": \"x\"}\n"));
  EXPECT_EQ(jobs.report.error_count, 1U);
  ASSERT_EQ(jobs.report.errors.size(), 1U);
  EXPECT_EQ(jobs.report.errors[0].line, 4U);
  EXPECT_EQ(jobs.report.errors[0].column, 19U);
  EXPECT_EQ(jobs.report.errors[0].message,
            "the id \"x\" is used twice, first on line 1: ids must be unique in a file");
}

TEST_F(JobsOnDisk, AGivenIdMustNotBeSomebodysDefaultId) {
  const Spec spec = spec_of_work("{\"cmd\":\"a\"}");
  const std::string job = "{\"cmd\":\"a\"}\n";
  const std::string taken = "{\"cmd\":\"b\",\"id\":\"" + default_id(spec, 2) + "\"}\n";
  Indexed before(write(taken + job + job));
  ASSERT_EQ(before.report.error_count, 1U);
  EXPECT_EQ(before.report.errors[0].line, 3U);
  EXPECT_NE(before.report.errors[0].message.find("is already used on line 1"), std::string::npos);

  Indexed after(write(job + job + taken));
  ASSERT_EQ(after.report.error_count, 1U);
  EXPECT_EQ(after.report.errors[0].line, 3U);
  EXPECT_EQ(after.report.errors[0].column, 17U);
  EXPECT_NE(after.report.errors[0].message.find("default id of the job on line 2"), std::string::npos);
}

TEST_F(JobsOnDisk, ErrorsAndDuplicatesAreSortedTogether) {
  std::string text = "{\"cmd\":\"a\",\"id\":\"x\"}\n";
  for (int i = 0; i < 60; ++i) text += i % 2 == 0 ? "[]\n" : "{\"cmd\":\"a\",\"id\":\"x\"}\n";
  for (const std::uint64_t segment : {1 << 20, 100}) {
    Indexed jobs(write(text), {2, segment});
    EXPECT_EQ(jobs.report.error_count, 60U);
    ASSERT_EQ(jobs.report.errors.size(), 20U);
    for (std::size_t i = 0; i < 20; ++i) EXPECT_EQ(jobs.report.errors[i].line, i + 2);
  }
}

TEST_F(JobsOnDisk, RepeatsAreNumberedInTheOrderOfTheFile) {
  std::string text;
  for (int i = 0; i < 500; ++i) text += "{\"type\":\"noop\", \"args\":" + std::to_string(i % 3) + "}\n";
  Indexed jobs(write(text), {3, 700});
  ASSERT_TRUE(jobs.report.ok());
  for (std::uint64_t number = 0; number < 500; ++number)
    EXPECT_EQ(jobs.index.entry(number).repeat, number / 3 + 1);
}

TEST_F(JobsOnDisk, AHugeLineIsAnErrorInConstantMemory) {
  {
    std::ofstream file(path(), std::ios::binary);
    file << "{\"cmd\":\"a\"}\n{\"cmd\":\"";
    const std::string block(1 << 20, 'x');
    for (int i = 0; i < 100; ++i) file << block;
    file << "\"}\n{\"cmd\":\"b\"}\n[]\n";
  }
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  Indexed jobs(path());
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_EQ(jobs.index.size(), 2U);
  EXPECT_EQ(jobs.report.lines, 4U);
  ASSERT_EQ(jobs.report.errors.size(), 2U);
  EXPECT_EQ(jobs.report.errors[0].line, 2U);
  EXPECT_EQ(jobs.report.errors[0].column, kLineBytesMax + 1);
  EXPECT_EQ(jobs.report.errors[1].line, 4U);
  EXPECT_EQ(jobs.index.entry(1).line, 3U);
  const long grown_kib = after.ru_maxrss - before.ru_maxrss;
  std::printf("a line of 100 MiB cost %ld KiB\n", grown_kib);
  EXPECT_LT(grown_kib, 64 * 1024);
}

// Sized by its beginning of short lines, the index of such a file took 100 MiB.
TEST_F(JobsOnDisk, ShortLinesInFrontOfALargeFileCostWhatTheyAre) {
  {
    std::ofstream file(path(), std::ios::binary);
    for (int i = 0; i < 66'000; ++i) file << "{\"cmd\":\"" << i << "\"}\n";
    const std::string block(10'000, 'x');
    for (int i = 0; i < 20'000; ++i) file << "{\"type\":\"x\",\"args\":\"" << i << block << "\"}\n";
  }
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  Indexed jobs(path());
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_EQ(jobs.index.size(), 86'000U);
  const long grown_kib = after.ru_maxrss - before.ru_maxrss;
  std::printf("66,000 short lines in front of 200 MB cost %ld KiB\n", grown_kib);
  EXPECT_LT(grown_kib, 56 * 1024);
}

TEST_F(JobsOnDisk, AFileOfAnotherShapeIsOneErrorWithAdvice) {
  const auto only_error = [&](const std::string& text, JobsFormat format) {
    const Indexed jobs(write(text), {}, format);
    return format_errors("jobs", jobs.report);
  };
  const std::string json = "[\n  {\n    \"cmd\": \"a\"\n  }\n]\n";
  const std::string of_json = only_error("\xef\xbb\xbf\n" + json, JobsFormat::kJsonLines);
  EXPECT_EQ(of_json.find("jobs:2:1: this is a JSON array: turn it into one JSON object per line"), 0U);
  EXPECT_EQ(only_error("# jobs\n" + json, JobsFormat::kLines),
            "jobs:2:1: this is a JSON array, which would be run as shell commands: turn it into one JSON "
            "object per "
            "line (jq -c '.[]') and say --format jsonl");
  EXPECT_EQ(only_error("\xef\xbb\xbf  {\"cmd\":\"a\"}", JobsFormat::kLines).substr(0, 23),
            "jobs:1:3: this is JSON,");
  const std::string large = "[{\"cmd\":\"" + std::string(kLineBytesMax * 2, 'x') + "\"}]";
  EXPECT_NE(only_error(large, JobsFormat::kLines).find("JSON array"), std::string::npos);
  EXPECT_EQ(only_error("{ \"my tool\" : ; }\n", JobsFormat::kLines), "");
}

TEST_F(JobsOnDisk, ALineAtTheLimitMayCrossSegments) {
  const std::string head = "{\"type\":\"x\",\"args\":\"";
  const std::string line = head + std::string(kLineBytesMax - head.size() - 2, 'x') + "\"}";
  Indexed jobs(write("{\"cmd\":\"a\"}\n" + line + "\r\n" + "{\"cmd\":\"b\"}\n"), {2, 1000});
  ASSERT_TRUE(jobs.report.ok()) << format_errors("jobs", jobs.report);
  EXPECT_EQ(jobs.index.size(), 3U);
}

TEST_F(JobsOnDisk, ShellLines) {
  Indexed jobs(write("#!/bin/sh\nls -l\n\n  # no\necho a; echo b\r\nls -l\n"), {}, JobsFormat::kLines);
  ASSERT_TRUE(jobs.report.ok());
  ASSERT_EQ(jobs.index.size(), 3U);
  EXPECT_EQ(jobs.index.entry(1).line, 5U);
  EXPECT_EQ(jobs.index.entry(2).repeat, 2U);
}

}  // namespace
}  // namespace workpool::dispatcher
