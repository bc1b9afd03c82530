// SPDX-License-Identifier: MIT
#include "dispatcher/io/results/results_replay.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <cstdio>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "tests/support/owned_result.h"
#include "tests/unit_io/results_fixture.h"

namespace workpool::dispatcher {
namespace {

using Past = JobRegister::Past;

class Replay : public testing::Test {
 protected:
  ReplaySummary replay_content(const std::string& content) {
    folder_.write(folder_.results(), content);
    seen_.clear();
    const OpenFile file(folder_.results());
    return replay(file.fd(), [this](const ReplayedLine& line) { seen_.push_back(line); });
  }
  ReplaySummary replay_content(const std::string& content, JobIndex& index) {
    folder_.write(folder_.results(), content);
    const OpenFile file(folder_.results());
    return replay_into(file.fd(), index);
  }

  ResultsFolder folder_;
  std::vector<ReplayedLine> seen_;
};

TEST_F(Replay, AnEmptyFileSaysNothing) {
  const ReplaySummary summary = replay_content("");
  EXPECT_EQ(summary.lines, 0U);
  EXPECT_EQ(summary.bytes, 0U);
  EXPECT_EQ(summary.run, 0U);
  EXPECT_FALSE(summary.newline_missing);
}

TEST_F(Replay, SaysWhereALineStands) {
  const std::string content = "\xef\xbb\xbf" + line_of("a") + "\n junk\n  " +
                              line_of("b").insert(line_of("b").size() - 1, "\r") + line_of("c");
  folder_.write(folder_.results(), content);
  const OpenFile file(folder_.results());
  std::string found;
  replay(file.fd(), [&](const PlacedLine& line) { found += content.substr(line.offset, line.bytes) + "\n"; });
  EXPECT_EQ(found, line_of("a") + line_of("b") + line_of("c"));
}

TEST_F(Replay, GivesTheLinesInOrderAndTheRunOfTheLast) {
  const std::string content =
      line_of("a") + line_of("b", Status::kFailed, 1, RunId{1}) + line_of("a", Status::kTimeout);
  const ReplaySummary summary = replay_content(content);
  ASSERT_EQ(seen_.size(), 3U);
  EXPECT_EQ(seen_[1].id, "b");
  EXPECT_EQ(seen_[1].status, Status::kFailed);
  EXPECT_EQ(seen_[2].status, Status::kTimeout);
  EXPECT_EQ(summary.lines, 3U);
  EXPECT_EQ(summary.run, kRun.value);
  EXPECT_EQ(summary.bytes, content.size());
  EXPECT_EQ(summary.whole_bytes, content.size());
  EXPECT_EQ(summary.torn_bytes, 0U);
}

TEST_F(Replay, DamagedLinesAreCountedAndNumbered) {
  std::string bad = line_of("b");
  bad[10] ^= 1;
  const ReplaySummary summary =
      replay_content("x" + line_of("a") + bad + "\n" + line_of("c") + "\xef\xbb\xbf" + line_of("d") + "{}\n");
  EXPECT_EQ(summary.lines, 1U);
  EXPECT_EQ(summary.damaged, 4U);
  EXPECT_EQ(summary.damaged_lines, (std::vector<std::uint64_t>{1, 2, 5, 6}));
  std::string rubbish;
  for (int i = 0; i < 100; ++i) rubbish += "x\n";
  const ReplaySummary many = replay_content(rubbish);
  EXPECT_EQ(many.damaged, 100U);
  EXPECT_EQ(many.damaged_lines.size(), kDamagedLinesShown);
}

// Editors, Windows and `sed -i 's/$/\r/'` do this to text; the results are the same.
TEST_F(Replay, MarkCarriageReturnsAndBlankLinesArePassedOver) {
  const std::string kMark = "\xef\xbb\xbf";
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    const std::vector<std::string> ids = ids_up_to(static_cast<int>(random() % 6));
    std::string content = round % 2 == 0 ? kMark : "";
    const auto blank = [&] {
      const char* const kBlank[] = {"", "", "\n", "\r\n", " \t\r\n"};
      content += kBlank[random() % 5];
    };
    blank();
    for (const std::string& id : ids) {
      std::string line = line_of(id, random() % 2 == 0 ? Status::kOk : Status::kFailed);
      if (random() % 2 == 0) line.insert(line.size() - 1, "\r");
      content += line;
      blank();
    }
    if (!content.empty() && content.back() == '\n' && random() % 3 == 0) content.pop_back();
    const ReplaySummary summary = replay_content(content);
    EXPECT_EQ(summary.damaged, 0U) << content;
    EXPECT_EQ(summary.torn_bytes, 0U) << content;
    EXPECT_EQ(summary.empty(), ids.empty());
    ASSERT_EQ(seen_.size(), ids.size()) << content;
    for (std::size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(seen_[i].id, ids[i]);
  }
}

TEST_F(Replay, ATornTailIsToldFromOneThatIsNot) {
  const std::string whole = line_of("a");
  const std::string torn = line_of("b").substr(0, 40);
  ReplaySummary summary = replay_content(whole + torn);
  EXPECT_EQ(summary.lines, 1U);
  EXPECT_EQ(summary.torn_bytes, 40U);
  EXPECT_EQ(summary.whole_bytes, whole.size());
  EXPECT_EQ(summary.bytes, whole.size() + 40);
  EXPECT_EQ(summary.damaged, 0U);
  EXPECT_FALSE(summary.newline_missing);

  summary = replay_content(whole + "notes of mine");
  EXPECT_EQ(summary.torn_bytes, 0U);
  EXPECT_EQ(summary.whole_bytes, whole.size() + 13);
  EXPECT_EQ(summary.damaged_lines, (std::vector<std::uint64_t>{2}));
  EXPECT_TRUE(summary.newline_missing);

  summary = replay_content("\xef\xbb\xbf{\"id\":\"a");
  EXPECT_EQ(summary.torn_bytes, 8U) << "behind a mark";

  // Whole but for its newline: it may have been acknowledged.
  summary = replay_content(whole + whole.substr(0, whole.size() - 1));
  EXPECT_EQ(summary.lines, 2U);
  EXPECT_EQ(summary.torn_bytes, 0U);
  EXPECT_TRUE(summary.newline_missing);
}

TEST_F(Replay, LongLinesAreDamagedAndCostNoMemory) {
  folder_.write(folder_.results(), "");
  ASSERT_EQ(truncate(folder_.results().c_str(), 300 << 20),
            0);  // zeros without a newline, as a crash can leave
  std::ofstream(folder_.results(), std::ios::app)
      << "\n"
      << line_of("a") << "{\"id\":" << std::string(kResultLineBytesMax + 1, 'x');
  rusage before{};
  getrusage(RUSAGE_SELF, &before);
  const OpenFile file(folder_.results());
  const ReplaySummary summary = replay(file.fd(), [](const ReplayedLine&) {});
  rusage after{};
  getrusage(RUSAGE_SELF, &after);
  EXPECT_EQ(summary.lines, 1U);
  EXPECT_EQ(summary.damaged_lines, (std::vector<std::uint64_t>{1, 3}));
  EXPECT_EQ(summary.torn_bytes, 0U) << "no line of ours is so long";
  EXPECT_TRUE(summary.newline_missing);
  // A buffer for the longest line, which grows by doubling; not what the file has. TSan keeps several bytes
  // for each of ours.
#ifdef __SANITIZE_THREAD__
  constexpr long kTimes = 15;
#else
  constexpr long kTimes = 3;
#endif
  EXPECT_LT(after.ru_maxrss - before.ru_maxrss, kTimes * static_cast<long>(kResultLineBytesMax >> 10))
      << "KiB";
}

TEST_F(Replay, LinesOfEveryLengthAroundTheBlocksAreWhole) {
  std::string content;
  std::uint64_t count = 0;
  for (const std::size_t bytes :
       {0UL, 1000UL, 130'000UL, 262'143UL, 262'144UL, 500'000UL, 1'000'000UL, 3'900'000UL}) {
    OwnedResult result;
    result.id = "job" + std::to_string(++count);
    result.outcome.value = '"' + std::string(bytes, 'v') + '"';
    append_result_line(content, result);
    content += line_of("between");
  }
  const ReplaySummary summary = replay_content(content);
  EXPECT_EQ(summary.lines, 2 * count);
  EXPECT_EQ(summary.damaged, 0U);
  EXPECT_EQ(seen_[2 * count - 2].id, "job8");
}

TEST_F(Replay, WhatCannotBeReadIsAnError) {
  const OpenFile folder(folder_.path(""));
  try {
    replay(folder.fd(), [](const ReplayedLine&) {});
    ADD_FAILURE() << "a folder was read";
  } catch (const StoreError& error) {
    EXPECT_EQ(error.exit_code, ExitCode::kResultsFailed);
    EXPECT_NE(error.message.find("directory"), std::string::npos) << error.message;
  }
}

// ---- into an index ----

TEST_F(Replay, TheLastLineOfAJobsOwnWorkCounts) {
  JobIndex index = index_of({"a", "b", "c", "d", "e"});
  const ReplaySummary summary = replay_content(line_of("a") + line_of("a", Status::kFailed) +  // a: not ok
                                                   line_of("b", Status::kFailed) + line_of("b") +  // b: ok
                                                   line_of("b", Status::kFailed, 2) +  // of other work
                                                   line_of("c", Status::kOk, 2) +      // c: changed
                                                   line_of("e", Status::kInvalid) +    // no job's
                                                   line_of("gone") + line_of("gone"),  // removed
                                               index);
  EXPECT_EQ(index.ids().past(0), Past::kFailed);
  EXPECT_EQ(index.ids().past(1), Past::kOk);
  EXPECT_EQ(index.ids().past(2), Past::kNone);
  EXPECT_EQ(index.ids().past(3), Past::kNone);
  EXPECT_EQ(index.ids().past(4), Past::kNone) << "a bad line never counts as done";
  EXPECT_EQ(summary.lines, 9U);
  EXPECT_EQ(summary.invalid, 1U);
  EXPECT_EQ(summary.superseded, 4U);
  EXPECT_EQ(summary.changed, 1U);
  EXPECT_EQ(summary.removed, 2U);
  EXPECT_TRUE(summary.matched);
}

TEST_F(Replay, ForeignResultsMatchNothing) {
  JobIndex index = index_of({"a"});
  EXPECT_FALSE(replay_content(line_of("x") + line_of("y"), index).matched);
  EXPECT_TRUE(replay_content(line_of("a", Status::kOk, 2), index).matched) << "the id is enough";
}

TEST_F(Replay, BadLinesAreKnownByTheirTextAsOftenAsTheyAreThere) {
  folder_.write(folder_.results(), line_of("L1", Status::kInvalid) + line_of("L1", Status::kInvalid) +
                                       line_of("L2", Status::kInvalid) + line_of("L3"));
  JobRegister ids;
  const OpenFile file(folder_.results());
  replay_into(file.fd(), ids);
  EXPECT_TRUE(ids.admit_invalid(spec_of("L1")));
  EXPECT_TRUE(ids.admit_invalid(spec_of("L1")));
  EXPECT_FALSE(ids.admit_invalid(spec_of("L1")));
  EXPECT_TRUE(ids.admit_invalid(spec_of("L2")));
  EXPECT_FALSE(ids.admit_invalid(spec_of("L3"))) << "that was a job";
}

TEST_F(Replay, WhatComesOneByOneIsKnownByIdAndWork) {
  folder_.write(folder_.results(), line_of("L1") + line_of("L2", Status::kFailed) + line_of("L2") +
                                       line_of("L3", Status::kInvalid) + line_of("L1", Status::kFailed, 2));
  JobRegister ids;
  const OpenFile file(folder_.results());
  const ReplaySummary summary = replay_into(file.fd(), ids);
  EXPECT_EQ(summary.lines, 5U);
  EXPECT_EQ(ids.size(), 3U);
  EXPECT_EQ(ids.remembered(key_of_id("L1"), spec_of("L1")), Past::kOk);
  EXPECT_EQ(ids.remembered(key_of_id("L1"), spec_of("L1", 2)), Past::kFailed);
  EXPECT_EQ(ids.remembered(key_of_id("L2"), spec_of("L2")), Past::kOk);
  EXPECT_EQ(ids.remembered(key_of_id("L3"), spec_of("L3")), Past::kNone) << "a bad line is no job's";
  EXPECT_EQ(ids.remembered(key_of_id("L4"), spec_of("L4")), Past::kNone);
}

// ---- damage ----

TEST_F(Replay, TenThousandFlippedBitsAlterNoResult) {
  constexpr int kJobs = 20;
  const std::vector<std::string> ids = ids_up_to(kJobs);
  std::string content;
  std::set<std::tuple<std::string, Status, Spec, RunId>> written;
  for (const std::string& id : ids) {
    const Status status = id.size() % 2 == 0 ? Status::kFailed : Status::kOk;
    content += line_of(id, status);
    written.insert({id, status, spec_of(id), kRun});
  }
  folder_.write(folder_.results(), content);
  const int fd = open(folder_.results().c_str(), O_RDWR | O_CLOEXEC);
  const auto seed = static_cast<unsigned>(std::random_device()());
  std::mt19937 random(seed);
  for (int i = 0; i < 10'000; ++i) {
    const std::size_t at = random() % content.size();
    const char flipped = static_cast<char>(content[at] ^ (1 << random() % 8));
    ASSERT_EQ(pwrite(fd, &flipped, 1, static_cast<off_t>(at)), 1);
    int accepted = 0;
    replay(fd, [&](const ReplayedLine& line) {
      ++accepted;
      EXPECT_TRUE(written.contains({line.id, line.status, line.spec, line.run}))
          << line.id << ", seed " << seed;
    });
    // One line, or two if the bit made a newline of it or took one away.
    ASSERT_GE(accepted, kJobs - 2) << "byte " << at << ", seed " << seed;
    // A newline that is gone from the very end leaves the last line whole.
    const int most = at + 1 == content.size() ? kJobs : kJobs - 1;
    ASSERT_LE(accepted, most) << "byte " << at << ", seed " << seed;
    ASSERT_EQ(pwrite(fd, &content[at], 1, static_cast<off_t>(at)), 1);
  }
  close(fd);
}

TEST_F(Replay, ManyLinesAreReadInTime) {
  constexpr int kLines = 200'000;
  std::string content;
  const std::vector<std::string> ids = ids_up_to(kLines);
  for (const std::string& id : ids) content += line_of(id);
  JobIndex index = index_of(ids);
  const auto start = std::chrono::steady_clock::now();
  const ReplaySummary summary = replay_content(content, index);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(summary.lines, static_cast<std::uint64_t>(kLines));
  EXPECT_EQ(jobs_to_run(index), 0U);
  std::printf("replay: %.2f M lines/s of %zu bytes\n", kLines / took.count() / 1e6, content.size() / kLines);
  EXPECT_LT(took.count(), 4.0) << "promised: a million lines in 5 s";
}

}  // namespace
}  // namespace workpool::dispatcher
