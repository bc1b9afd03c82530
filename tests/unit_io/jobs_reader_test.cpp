// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/jobs_reader.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
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

TEST_F(JobsOnDisk, LoadsJobsWithTheirFacts) {
  Indexed jobs(write(
      "{\"cmd\":\"a\"}\n{\"cmd\":\"a\"}\n\n{\"type\":\"x\",\"id\":\"i\",\"priority\":-1,\"timeout\":\"2s\","
      "\"retries\":5,\"slots\":3}\n"));
  ASSERT_TRUE(jobs.report.ok());
  Bell bell;
  JobsReader reader(jobs.input.fd(), {JobsFormat::kJsonLines, {seconds(9), 1}}, jobs.index, bell.ring());
  const LoadedJobs loaded = load_all(reader, bell, {2, 0, 1});
  EXPECT_GT(bell.rung(), 0);
  ASSERT_EQ(loaded.jobs.size(), 3U);
  const JobFacts& given = loaded.jobs[0].facts;
  EXPECT_EQ(given.number, 2U);
  EXPECT_EQ(given.line, 4U);
  EXPECT_EQ(given.id, "i");
  EXPECT_EQ(given.repeat, 0U);
  EXPECT_EQ(given.key, key_of_id("i"));
  EXPECT_EQ(given.priority, -1);
  EXPECT_EQ(given.timeout, seconds(2));
  EXPECT_EQ(given.retries, 5U);
  EXPECT_EQ(given.slots, 3U);
  EXPECT_EQ(jobs.index.requirements()[given.requirement].type, "x");
  EXPECT_EQ(loaded.jobs[0].work, "{\"type\":\"x\"}");
  EXPECT_EQ(given.payload_bytes, loaded.jobs[0].work.size());
  const JobFacts& second = loaded.jobs[2].facts;
  EXPECT_EQ(second.number, 1U);
  EXPECT_EQ(second.id, "");
  EXPECT_EQ(second.repeat, 2U);
  EXPECT_EQ(second.key, key_of_id(second.full_id()));
  EXPECT_EQ(second.spec, spec_of_work(loaded.jobs[2].work));
  EXPECT_EQ(second.timeout, seconds(9));
  EXPECT_EQ(second.retries, 1U);
}

TEST_F(JobsOnDisk, LoadsInAnyOrder) {
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += "{\"type\":\"echo\",\"args\":\"" + std::string(static_cast<std::size_t>(i * 37 % 900), 'x') +
            "\",\"id\":\"" + std::to_string(i) + "\"}\n";
    if (i % 1000 == 0)
      text += "{\"type\":\"echo\",\"args\":\"" + std::string(700'000, 'y') + "\",\"id\":\"y" +
              std::to_string(i) + "\"}\n";
  }
  Indexed jobs(write(text));
  ASSERT_TRUE(jobs.report.ok());
  Bell bell;
  JobsReader reader(jobs.input.fd(), JobsFormat::kJsonLines, jobs.index, bell.ring());
  std::vector<JobNumber> numbers;
  for (JobNumber i = 0; i < jobs.index.size(); ++i) numbers.push_back(i);
  EXPECT_EQ(load_all(reader, bell, numbers).changed_lines.size(), 0U);
  for (JobNumber i = 0; i < jobs.index.size(); ++i) numbers[i] = (i * 1009) % jobs.index.size();
  const LoadedJobs loaded = load_all(reader, bell, numbers);
  ASSERT_EQ(loaded.changed_lines.size(), 0U);
  for (std::size_t i = 0; i < numbers.size(); ++i) ASSERT_EQ(loaded.jobs[i].facts.number, numbers[i]);
}

// What /proc/self/io counts of this process so far: `rchar` are the bytes that it has read, by any call, and
// `syscr` those calls.
std::uint64_t counted_by_kernel(const std::string& wanted) {
  std::ifstream io("/proc/self/io");
  std::string name;
  std::uint64_t value = 0;
  while (io >> name >> value) {
    if (name == wanted + ":") return value;
  }
  return 0;
}

// How many reads it takes to load these jobs, which come in the order in which they are asked for.
std::uint64_t reads_to_load(const Indexed& jobs, const std::vector<JobNumber>& numbers) {
  Bell bell;
  JobsReader reader(jobs.input.fd(), JobsFormat::kJsonLines, jobs.index, bell.ring());
  const std::uint64_t before = counted_by_kernel("syscr");
  const LoadedJobs loaded = load_all(reader, bell, numbers);
  const std::uint64_t reads = counted_by_kernel("syscr") - before;
  for (std::size_t i = 0; i < loaded.jobs.size(); ++i) EXPECT_EQ(loaded.jobs[i].facts.number, numbers[i]);
  EXPECT_EQ(loaded.jobs.size(), numbers.size());
  return reads;
}

TEST_F(JobsOnDisk, LinesFarApartCostLittleMoreThanThemselves) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "{\"type\":\"noop\",\"id\":\"" + std::to_string(i) + "\"}\n";
  Indexed jobs(write(text));
  ASSERT_TRUE(jobs.report.ok());
  std::vector<JobNumber> far_apart;  // 7,000 lines of 30 bytes, as of one of many requirements or priorities
  for (JobNumber i = 0; i < 1000; ++i) far_apart.push_back(i * 7001 % jobs.index.size());
  const std::uint64_t before = counted_by_kernel("rchar");
  reads_to_load(jobs, far_apart);
  EXPECT_LT((counted_by_kernel("rchar") - before) / far_apart.size(), 4u * 600)
      << "the whole file once, if it is a small one";
}

// As of many requirements that take turns in the file: each is asked for some of its jobs.
TEST_F(JobsOnDisk, NeighboursThatAreAskedForInAnotherOrderAreReadInOneGo) {
  constexpr JobNumber kKinds = 500;
  std::string text;
  for (JobNumber i = 0; i < 10 * kKinds; ++i)
    text += "{\"type\":\"echo\",\"args\":\"" + std::to_string(i) + "\",\"labels\":[\"l" +
            std::to_string(i % kKinds) + "\"]}\n";
  Indexed jobs(write(text));
  ASSERT_TRUE(jobs.report.ok());
  std::vector<JobNumber> numbers;
  for (JobNumber kind = 0; kind < kKinds; ++kind)
    for (JobNumber i = 0; i < 5; ++i) numbers.push_back(i * kKinds + kind);
  EXPECT_LT(reads_to_load(jobs, numbers), 4u * 60) << "ten batches of five reads each, and a wake-up";
}

// As of many priorities: neighbours are never asked for together.
TEST_F(JobsOnDisk, ASmallFileIsReadOnceIfItsJobsComeInAnyOrder) {
  std::string text;
  for (JobNumber i = 0; i < 4000; ++i)
    text += "{\"type\":\"echo\",\"args\":\"" + std::string(2000, 'x') + std::to_string(i) + "\"}\n";
  Indexed jobs(write(text));
  ASSERT_TRUE(jobs.report.ok());
  std::vector<JobNumber> numbers;
  for (JobNumber i = 0; i < 4000; ++i) numbers.push_back(i * 1009 % 4000);
  EXPECT_LT(reads_to_load(jobs, numbers), 4u * 100) << "8 MB, a block at a time";
}

TEST_F(JobsOnDisk, AChangedFileIsNoticed) {
  const std::string first = "{\"cmd\":\"aaaa\"}\n";
  const std::string rest =
      "{\"cmd\":\"b\",\"labels\":[\"x\"]}\n{\"cmd\":\"c\",\"id\":\"c\"}\n{\"cmd\":\"d\",\"priority\":1}\n";
  Indexed jobs(write(first + rest));
  ASSERT_TRUE(jobs.report.ok());
  Bell bell;
  const auto changed = [&](const std::string& text, const std::vector<JobNumber>& numbers) {
    write(text);  // in place: the same descriptor sees it
    JobsReader reader(jobs.input.fd(), JobsFormat::kJsonLines, jobs.index, bell.ring());
    return load_all(reader, bell, numbers).changed_lines;
  };
  const auto with = [&](const char* from, const char* to) {
    std::string text = first + rest;
    return text.replace(text.find(from), std::string(from).size(), to);
  };
  using Lines = std::vector<std::uint64_t>;
  EXPECT_EQ(changed(first + rest, {0, 1, 2, 3}), Lines{});
  EXPECT_EQ(changed(with("aaaa", "aaab"), {0, 1, 2, 3}), Lines{1}) << "another command";
  EXPECT_EQ(changed(with("\"x\"", "\"y\""), {0, 1, 2, 3}), Lines{2}) << "other labels, which are in no hash";
  EXPECT_EQ(changed(with("\"id\":\"c\"", "\"id\":\"d\""), {0, 1, 2, 3}), Lines{3}) << "another id";
  EXPECT_EQ(changed(with("\"priority\":1", "\"priority\":2"), {0, 1, 2, 3}), Lines{4}) << "another priority";
  EXPECT_EQ(changed("\n" + first + rest, {0, 1, 2, 3}), (Lines{1, 2, 3, 4})) << "everything moved";
  EXPECT_EQ(changed(first, {0, 1, 2, 3}), (Lines{2, 3, 4})) << "shorter";
  EXPECT_EQ(changed("", {3}), Lines{4});

  write(first + rest);
  JobsReader reader(jobs.input.fd(), JobsFormat::kJsonLines, jobs.index, bell.ring());
  EXPECT_EQ(load_all(reader, bell, {0}).changed_lines, Lines{});
  write(with("\"c\",", "\"cc\","));
  EXPECT_EQ(load_all(reader, bell, {2}).changed_lines, Lines{3}) << "near a line that was read before";
}

TEST_F(JobsOnDisk, AReaderWithMuchToDoStopsAtOnce) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "{\"cmd\":\"a\"}\n";
  Indexed jobs(write(text));
  std::vector<JobNumber> numbers;
  for (int round = 0; round < 20; ++round) {
    for (JobNumber i = 0; i < jobs.index.size(); ++i) numbers.push_back(i);
  }
  JobsReader reader(jobs.input.fd(), JobsFormat::kJsonLines, jobs.index, [] {});
  reader.load(numbers);
}

}  // namespace
}  // namespace workpool::dispatcher
