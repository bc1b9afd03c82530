// SPDX-License-Identifier: MIT
#include "dispatcher/core/outcome_check.h"

#include <gtest/gtest.h>

#include <string>

#include "common/formats/results_file.h"
#include "tests/support/owned_result.h"

namespace workpool::dispatcher {
namespace {

// As it is recorded.
std::string line_of(const Outcome& outcome) {
  OwnedResult line;
  line.id = "job";
  line.attempt = 1;
  line.outcome = outcome;
  std::string text;
  append_result_line(text, line);
  return text;
}

TEST(OutcomeCheck, WhatFitsStaysAsItIs) {
  OutcomeCheck check;
  Outcome outcome;
  outcome.value = "{\"a\":1}";
  check.make_fit(outcome);
  EXPECT_EQ(outcome.status, Status::kOk);
  EXPECT_EQ(outcome.value, "{\"a\":1}");
  Outcome failed;
  failed.status = Status::kFailed;
  failed.kind = ErrorKind::kExit;
  failed.command.emplace();
  failed.command->standard_output = std::string(kCaptureBytesMax, '\xff');
  failed.message = std::string(kErrorMessageBytesMax, 'm');
  check.make_fit(failed);
  EXPECT_EQ(failed.command->standard_output.size(), kCaptureBytesMax);
  EXPECT_EQ(failed.message.size(), kErrorMessageBytesMax);
  EXPECT_EQ(failed.kind, ErrorKind::kExit);
  EXPECT_EQ(failed.command->truncated, 0U);
}

TEST(OutcomeCheck, AValueThatIsNoJsonIsTheJobsFailure) {
  OutcomeCheck check;
  for (const std::string value :
       {"NaN", "{oops", "1,\"status\":\"failed\",\"id\":\"zzz\"", "[1,\n2]", "\"\xff\""}) {
    Outcome outcome;
    outcome.value = value;
    check.make_fit(outcome);
    EXPECT_EQ(outcome.status, Status::kFailed) << value;
    EXPECT_EQ(outcome.kind, ErrorKind::kHandler);
    EXPECT_EQ(outcome.message.substr(0, 10), "the value ") << outcome.message;
    EXPECT_EQ(line_of(outcome).find("\"value\""), std::string::npos) << line_of(outcome);
  }
}

TEST(OutcomeCheck, AValueOverTheLimitIsTheJobsFailureAndNamesTheLimit) {
  OutcomeCheck check;
  Outcome outcome;
  outcome.value = '"' + std::string(2 << 20, 'v') + '"';
  check.make_fit(outcome);
  EXPECT_EQ(outcome.status, Status::kFailed);
  EXPECT_NE(outcome.message.find("the limit is 1048576"), std::string::npos) << outcome.message;
}

TEST(OutcomeCheck, OutputAndMessageAreCutSoThatTheLineIsReadBack) {
  OutcomeCheck check;
  Outcome outcome;
  outcome.command.emplace();
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kExit;
  outcome.command->truncated = 1;
  outcome.message = std::string(9000, 'm');
  outcome.command->standard_output = std::string(20 << 20, '\x01');
  outcome.command->standard_error = std::string(kCaptureBytesMax - 1, 'x') + "\xc3\xa9";
  check.make_fit(outcome);
  EXPECT_EQ(outcome.message.size(), kErrorMessageBytesMax);
  EXPECT_EQ(outcome.command->standard_output.size(), kCaptureBytesMax);
  EXPECT_EQ(outcome.command->standard_error.size(), kCaptureBytesMax - 1) << "no half letter";
  EXPECT_EQ(outcome.command->truncated, 1 + (20 << 20) - kCaptureBytesMax + 2);
  EXPECT_LE(line_of(outcome).size(), kResultLineBytesMax);
  outcome.command->standard_error = outcome.command->standard_output;
  EXPECT_LE(line_of(outcome).size(), kResultLineBytesMax);
  EXPECT_GT(line_of(outcome).size(), kResultLineBytesMax / 2) << "the limit is not far above what is needed";
}

TEST(OutcomeCheck, AFileWithoutAnAbsolutePathIsDropped) {
  OutcomeCheck check;
  for (const std::string& path : {std::string("etc/passwd"), std::string("/a\0b", 4), std::string()}) {
    Outcome outcome;
    outcome.command.emplace().exit = 0;
    outcome.command->output_file.emplace().path = "/good";
    outcome.command->error_file.emplace().path = path;
    check.make_fit(outcome);
    EXPECT_EQ(outcome.status, Status::kFailed) << path;
    EXPECT_EQ(outcome.kind, ErrorKind::kOutput);
    EXPECT_EQ(outcome.message,
              "the worker does not say in which file its stderr is: it gave no absolute path");
    EXPECT_TRUE(outcome.command->output_file && outcome.command->keeps_output) << "this one is good";
    EXPECT_FALSE(outcome.command->error_file || outcome.command->keeps_errors);
    EXPECT_EQ(line_of(outcome).find("\"stderr\""), std::string::npos) << line_of(outcome);
  }
  Outcome failed;
  failed.status = Status::kFailed;
  failed.kind = ErrorKind::kExit;
  failed.command.emplace().output_file.emplace().path = "relative";
  check.make_fit(failed);
  EXPECT_EQ(failed.kind, ErrorKind::kExit) << "it failed already";
  EXPECT_FALSE(failed.command->output_file);
}

}  // namespace
}  // namespace workpool::dispatcher
