// SPDX-License-Identifier: MIT
// Which lines `show` shows, and in which order.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "dispatcher/io/show/contents.h"
#include "dispatcher/io/show/job_commands.h"
#include "tests/unit_io/show_fixture.h"

namespace workpool::dispatcher {
namespace {

using Lines = std::vector<std::uint64_t>;
using Texts = std::vector<std::string>;

class ShowLines : public ShowTest {
 protected:
  // The exit status of each line that was read.
  std::vector<std::string> exits() {
    std::vector<std::string> found;
    ResultView view;
    const std::string text = text_by<JsonVisitor>();
    for (std::size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
      // The view looks into it.
      const std::string line = text.substr(at, text.find('\n', at) - at);
      EXPECT_TRUE(read_result_view(line, view));
      found.emplace_back(view.exit);
    }
    return found;
  }
};

TEST_F(ShowLines, AreInTheOrderOfTheJobsFile) {
  put({ResultOf(3), ResultOf(1), ResultOf(20), ResultOf(2)});
  read();
  EXPECT_EQ(lines_read(), (Lines{1, 2, 3, 20}));
}

TEST_F(ShowLines, OfSeveralWithOneIdTheLastCounts) {
  put({ResultOf(1, "a").failed(1), ResultOf(2, "b").failed(5), ResultOf(1, "a").failed(2),
       ResultOf(1, "a").failed(3)});
  read();
  EXPECT_EQ(exits(), (Texts{"3", "5"}));
}

TEST_F(ShowLines, WithTheJobsFileTheLastOfTheJobsWorkCounts) {
  folder_.write(folder_.path("jobs.jsonl"),
                "\n{\"cmd\":[\"new\"],\"id\":\"a\"}\n{\"cmd\":[\"c\"],\"id\":\"c\"}\n");
  auto opened = JobsAtHand::open(folder_.path("jobs.jsonl"), JobsFormat::kJsonLines);
  const auto& jobs = std::get<std::unique_ptr<JobsAtHand>>(opened);
  put({ResultOf(1, "a").work("new").failed(1), ResultOf(1, "a").work("new").failed(2),
       ResultOf(1, "a").work("old").failed(3), ResultOf(9, "c").work("old").failed(4),
       ResultOf(9, "c").work("older").failed(5), ResultOf(7, "gone").failed(6),
       ResultOf(7, "gone").failed(7)});
  const std::vector<CountingLine>& lines = read({}, {}, &jobs->index());
  EXPECT_EQ(exits(), (Texts{"2", "7", "5"}));
  // Line 2 is where the job stands today; a result of other work stays where it was.
  EXPECT_EQ(lines_read(), (Lines{2, 7, 9}));
  EXPECT_EQ(lines[0].job, 0U);
  EXPECT_EQ(lines[1].job, kNoJob);
  EXPECT_EQ(lines[2].job, kNoJob);
}

TEST_F(ShowLines, EachInvalidLineIsOneOfItsOwn) {
  const ResultOf invalid = ResultOf(1, "L1").ended(Status::kInvalid, ErrorKind::kInvalid, "no");
  put({ResultOf(1, "L1").failed(4), invalid, invalid});
  read();
  EXPECT_EQ(lines_read(), (Lines{1, 1, 1}));
  read({"L1"});
  EXPECT_EQ(lines_read(), (Lines{1, 1, 1}));
  read({}, {Status::kInvalid});
  EXPECT_EQ(lines_read(), (Lines{1, 1}));
}

TEST_F(ShowLines, DamagedOnesAreLeftOutAndCounted) {
  std::string bad = ResultOf(2).text();
  bad[20] ^= 1;
  put("\n" + ResultOf(1).text() + bad + "junk\n" + ResultOf(3).text() + ResultOf(4).text().substr(0, 40));
  read();
  EXPECT_EQ(lines_read(), (Lines{1, 3}));
  EXPECT_EQ(counting_.results.damaged, 2U);
  EXPECT_EQ(counting_.results.damaged_lines.front(), 3U);
  EXPECT_EQ(counting_.results.torn_bytes, 40U) << "of a run that goes on, so not damaged";
}

TEST_F(ShowLines, AnEmptyFileHasNone) {
  put(std::string());
  EXPECT_TRUE(read().empty());
  EXPECT_EQ(text_by<JsonVisitor>(), "");
}

// ---- the selection ----

TEST_F(ShowLines, AreSelectedByIdAndPattern) {
  put({ResultOf(1, "sim-1"), ResultOf(2, "sim-2"), ResultOf(3, "other"), ResultOf(4, "a*b"),
       ResultOf(5, "a b")});
  read({"other"});
  EXPECT_EQ(lines_read(), (Lines{3}));
  read({"sim-?", "other", "other"});
  EXPECT_EQ(lines_read(), (Lines{1, 2, 3}));
  EXPECT_EQ(unmatched_, Texts{});
  read({"a*b"});
  EXPECT_EQ(lines_read(), (Lines{4, 5}));
  read({"[st]im*", "nobody", "n*"});
  EXPECT_EQ(lines_read(), (Lines{1, 2}));
  EXPECT_EQ(unmatched_, (Texts{"nobody", "n*"}));
}

TEST_F(ShowLines, AreSelectedByLine) {
  put({ResultOf(1), ResultOf(2, "3"), ResultOf(3), ResultOf(10, ":2"), ResultOf(11)});
  read({":3"});
  EXPECT_EQ(lines_read(), (Lines{3}));
  read({":2-10"});
  EXPECT_EQ(lines_read(), (Lines{2, 3, 10}));
  read({"3"});
  EXPECT_EQ(lines_read(), (Lines{2})) << "an id is an id";
  read({"11", "1"});
  EXPECT_EQ(lines_read(), (Lines{1, 11}));
  read({":5-9", "12", ":1", ":-2", ":3-"});
  EXPECT_EQ(lines_read(), (Lines{1}));
  EXPECT_EQ(unmatched_, (Texts{":5-9", "12", ":-2", ":3-"}));
}

TEST_F(ShowLines, AreSelectedByTheStatusOfTheOneThatCounts) {
  put({ResultOf(1, "a").failed(1), ResultOf(2, "b"), ResultOf(1, "a"), ResultOf(2, "b").failed(1),
       ResultOf(3).failed(1)});
  read({}, {Status::kFailed});
  EXPECT_EQ(lines_read(), (Lines{2, 3}));
  read({"a", "b"}, {Status::kFailed, Status::kTimeout});
  EXPECT_EQ(lines_read(), (Lines{2}));
  EXPECT_EQ(unmatched_, Texts{}) << "a has a result, if not one of that status";
}

// ---- the walk ----

TEST_F(ShowLines, SeveralThreadsKeepTheOrder) {
  std::vector<ResultOf> results;
  std::string expected;
  for (std::uint64_t line = 1; line <= 20'000; ++line) {
    // Scattered over the file, and some long.
    const std::uint64_t place = 1 + line * 7919 % 20'000;
    results.push_back(ResultOf(place).printed(std::to_string(place) + "\n" +
                                              (place % 1000 == 0 ? std::string(100'000, 'x') : "")));
  }
  for (std::uint64_t line = 1; line <= 20'000; ++line)
    expected += std::to_string(line) + "\n" + (line % 1000 == 0 ? std::string(100'000, 'x') : "");
  put(results);
  read();
  ShowOptions options;
  options.standard_output = true;
  Visitors visitors;
  for (int i = 0; i < 3; ++i) visitors.push_back(std::make_unique<ContentVisitor>(options));
  EXPECT_TRUE(text_by(visitors) == expected);
  EXPECT_EQ(lost_, 0U);
}

TEST_F(ShowLines, LongLinesNextToEachOtherAreWhole) {
  std::vector<ResultOf> results;
  std::string expected;
  for (std::uint64_t line = 1; line <= 20; ++line) {
    const std::string text(line * 12'000, static_cast<char>('a' + line));
    results.push_back(ResultOf(21 - line).printed(text));
    expected.insert(0, text);
  }
  put(results);
  read();
  ShowOptions options;
  options.standard_output = true;
  EXPECT_TRUE(text_by<ContentVisitor>(options) == expected);
  EXPECT_EQ(lost_, 0U);
}

TEST_F(ShowLines, ASinkThatTakesNoMoreEndsTheWalk) {
  std::vector<ResultOf> results;
  for (std::uint64_t line = 1; line <= 50'000; ++line) results.emplace_back(line);
  put(results);
  read();
  struct CountingVisitor final : LineVisitor {
    void take(const CountingLine&, std::string_view, const ResultView&, std::string& out) override {
      ++taken;
      out += 'x';
    }
    std::uint64_t taken = 0;
  };
  Visitors visitors;
  for (int i = 0; i < 2; ++i) visitors.push_back(std::make_unique<CountingVisitor>());
  walk_lines(file_->fd(), counting_.lines, visitors, [](std::string_view) { return false; });
  std::uint64_t taken = 0;
  for (const auto& visitor : visitors) taken += dynamic_cast<const CountingVisitor&>(*visitor).taken;
  EXPECT_LT(taken, 25'000U);
}

TEST_F(ShowLines, WhatAVisitorThrowsComesBack) {
  put({ResultOf(1)});
  read();
  struct ThrowingVisitor final : LineVisitor {
    void take(const CountingLine&, std::string_view, const ResultView&, std::string&) override {
      throw std::bad_alloc();
    }
  };
  EXPECT_THROW(text_by<ThrowingVisitor>(), std::bad_alloc);
}

TEST_F(ShowLines, AFileThatChangesMeanwhileIsNoticed) {
  put({ResultOf(1).printed("one"), ResultOf(2).printed("two"), ResultOf(3).printed("three")});
  read();
  std::string text = folder_.read(folder_.results());
  text[text.find("two")] = 'T';
  text.resize(text.size() - 10);
  folder_.write(folder_.results(), text);
  ShowOptions options;
  options.standard_output = true;
  EXPECT_EQ(text_by<ContentVisitor>(options), "one");
  EXPECT_EQ(lost_, 2U);
}

}  // namespace
}  // namespace workpool::dispatcher
