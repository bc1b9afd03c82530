// SPDX-License-Identifier: MIT
// A handler whose program wrote to stderr: its result has that next to its value, on the wire and on the
// line.
#include <gtest/gtest.h>

#include <string>

#include "common/formats/results_file.h"
#include "common/wire/codec.h"
#include "tests/support/owned_result.h"
#include "tests/unit/common/sample_messages.h"

namespace workpool {
namespace {

Outcome with_stderr(const std::string& value) {
  Outcome outcome;
  outcome.value = value;
  CommandEnd& end = outcome.command.emplace();
  end.keeps_output = false;
  end.standard_error = "words\n";
  return outcome;
}

std::string line_of(const Outcome& outcome) {
  OwnedResult result;
  result.id = "a";
  result.outcome = outcome;
  result.worker = "w";
  std::string out;
  append_result_line(out, result);
  return out;
}

TEST(HandlerStderr, StandsNextToTheValue) {
  EXPECT_NE(line_of(with_stderr("[1]")).find(R"(,"stderr":"words\n","value":[1],"worker")"),
            std::string::npos)
      << line_of(with_stderr("[1]"));
}

TEST(HandlerStderr, AFailureHasNoValue) {
  Outcome outcome = with_stderr("");
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kHandler;
  outcome.message = "no";
  const std::string line = line_of(outcome);
  EXPECT_NE(line.find(R"("stderr":"words\n","worker")"), std::string::npos) << line;
  EXPECT_EQ(line.find("value"), std::string::npos);
}

TEST(HandlerStderr, Travels) {
  JobResult sent;
  sent.attempt = 1;
  sent.outcome = with_stderr(R"({"a":1})");
  std::string frame;
  encode(sample::kHeader, Results{{sent}}, frame);
  const auto read = decode_sink(frame);
  ASSERT_TRUE(read);
  const auto& results = std::get<Results>(std::get<SinkMessage>(read->content));
  ASSERT_EQ(results.results.size(), 1U);
  const Outcome& outcome = results.results[0].outcome;
  EXPECT_EQ(outcome.value, R"({"a":1})");
  ASSERT_TRUE(outcome.command);
  EXPECT_EQ(outcome.command->standard_error, "words\n");
  EXPECT_FALSE(outcome.command->keeps_output);
}

}  // namespace
}  // namespace workpool
