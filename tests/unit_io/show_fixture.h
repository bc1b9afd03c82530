// SPDX-License-Identifier: MIT
// A results file that is shown, in memory: what the tests of `show` share.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "dispatcher/io/show/counting_lines.h"
#include "dispatcher/io/show/line_walk.h"
#include "tests/support/owned_result.h"
#include "tests/unit_io/results_fixture.h"

namespace workpool::dispatcher {

// The result of a command job on this line of the jobs file, as one says it of its change.
class ResultOf {
 public:
  explicit ResultOf(std::uint64_t line, const std::string& id = "") {
    result_.line = line;
    result_.id = id;
    result_.repeat = id.empty() ? 1 : 0;
    result_.spec = spec_of(std::to_string(line));
    result_.attempt = 1;
    result_.worker = "w1";
    result_.run = kRun;
    result_.outcome.command.emplace();
    result_.outcome.command->exit = 0;
  }
  ResultOf& work(const std::string& word) {
    result_.spec = spec_of_work(R"({"cmd":[")" + word + R"("]})");
    return *this;
  }
  ResultOf& failed(int exit) {
    result_.outcome.status = Status::kFailed;
    result_.outcome.kind = ErrorKind::kExit;
    result_.outcome.message = "exit status " + std::to_string(exit);
    result_.outcome.command->exit = exit;
    return *this;
  }
  ResultOf& ended(Status status, ErrorKind kind, const std::string& message) {
    result_.outcome.status = status;
    result_.outcome.kind = kind;
    result_.outcome.message = message;
    result_.outcome.command.reset();
    if (status == Status::kInvalid) result_.repeat = 0;
    return *this;
  }
  ResultOf& printed(const std::string& out, const std::string& err = "") {
    result_.outcome.command->standard_output = out;
    result_.outcome.command->standard_error = err;
    return *this;
  }
  ResultOf& cut(std::uint64_t bytes) {
    result_.outcome.command->truncated = bytes;
    return *this;
  }
  ResultOf& signal(int number) {
    result_.outcome.command->exit.reset();
    result_.outcome.command->signal = number;
    return *this;
  }
  ResultOf& ran(Duration duration, const std::string& worker = "w1") {
    result_.ran = duration;
    result_.worker = worker;
    return *this;
  }
  // More members, such as `"each":{"1":"x"}`.
  ResultOf& more(const std::string& members) {
    more_ += "," + members;
    return *this;
  }

  // With its newline.
  std::string text() const {
    std::string line;
    append_result_line(line, result_);
    if (more_.empty()) return line;
    line.pop_back();
    std::string_view body = line;
    EXPECT_TRUE(strip_crc(body));
    std::string longer = std::string(body) + more_;
    append_crc(longer, 0);
    return longer;
  }

 private:
  OwnedResult result_;
  std::string more_;
};

class ShowTest : public testing::Test {
 protected:
  void put(const std::vector<ResultOf>& results) {
    std::string text;
    for (const ResultOf& result : results) text += result.text();
    put(text);
  }
  void put(const std::string& text) {
    folder_.write(folder_.results(), text);
    file_ = std::make_unique<OpenFile>(folder_.results());
  }

  // Reads what was put, for whoever names these.
  const std::vector<CountingLine>& read(const std::vector<std::string>& wanted = {},
                                        const std::vector<Status>& statuses = {},
                                        const JobIndex* jobs = nullptr) {
    Selection selection(wanted, statuses);
    counting_ = read_counting_lines(file_->fd(), jobs, selection);
    unmatched_ = selection.unmatched();
    return counting_.lines;
  }
  std::vector<std::uint64_t> lines_read() const {
    std::vector<std::uint64_t> lines;
    for (const CountingLine& line : counting_.lines) lines.push_back(line.line);
    return lines;
  }

  // What `visitors` make of what was read.
  std::string text_by(const Visitors& visitors) {
    std::string text;
    lost_ = walk_lines(file_->fd(), counting_.lines, visitors, [&text](std::string_view part) {
      text += part;
      return true;
    });
    return text;
  }
  template <class Visitor, class... Arguments>
  std::string text_by(const Arguments&... arguments) {
    Visitors visitors;
    visitors.push_back(std::make_unique<Visitor>(arguments...));
    return text_by(visitors);
  }

  ResultsFolder folder_;
  std::unique_ptr<OpenFile> file_;
  CountingLines counting_;
  std::vector<std::string> unmatched_;
  std::uint64_t lost_ = 0;
};

}  // namespace workpool::dispatcher
