// SPDX-License-Identifier: MIT
// What a result line says of output that is in a file, was not kept, or is large.
#include <gtest/gtest.h>

#include <string>

#include "common/formats/result_view.h"
#include "common/formats/results_file.h"
#include "tests/support/owned_result.h"

namespace workpool {
namespace {

const Spec kSpec = spec_of_work(R"({"cmd":["true"]})");

OwnedResult command_line() {
  OwnedResult result;
  result.id = "logs";
  result.line = 2;
  result.attempt = 1;
  result.outcome.command.emplace().exit = 0;
  result.worker = "node7";
  result.run = RunId{1};
  result.spec = kSpec;
  return result;
}

std::string printed(const OwnedResult& result) {
  std::string out;
  append_result_line(out, result);
  out.pop_back();
  return out;
}

TEST(ResultLine, OfOutputInAFileSaysWhereItIs) {
  OwnedResult result = command_line();
  result.outcome.command->standard_output.clear();
  result.outcome.command->output_file.emplace() = {"/o/a \"b\"", 70'000, kSpec};
  result.outcome.command->error_file.emplace() = {"/o/\xff", 0, kSpec};
  EXPECT_NE(
      printed(result).find(
          R"("exit":0,"stdout":{"file":"/o/a \"b\"","bytes":70000,"xxh128":"385bb00ad9936907bb3342b79c51cb85"},)"
          R"("stderr":{"file":{"base64":"L28v/w=="},"bytes":0,"xxh128":"385bb00ad9936907bb3342b79c51cb85"},"worker")"),
      std::string::npos)
      << printed(result);
  const std::string line = printed(result);
  ResultView view;  // of `line`
  ASSERT_TRUE(read_result_view(line, view));
  const auto output = output_file_of(view);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->path, "/o/a \"b\"");
  EXPECT_EQ(output->bytes, 70'000U);
  EXPECT_EQ(output->digest, hex(kSpec));
  EXPECT_EQ(error_file_of(view)->path, "/o/\xff");
  EXPECT_EQ(standard_output_of(view), "");
  ReplayedLine read;
  EXPECT_EQ(read_result_line(printed(result), read), LineDamage::kNone);
}

TEST(ResultLine, OfOutputThatWasNotKeptHasNone) {
  OwnedResult result = command_line();
  result.outcome.command->keeps_output = result.outcome.command->keeps_errors = false;
  EXPECT_NE(printed(result).find(R"("exit":0,"worker")"), std::string::npos);
  const std::string line = printed(command_line());
  ResultView view;  // of `line`
  ASSERT_TRUE(read_result_view(line, view));
  EXPECT_FALSE(output_file_of(view)) << "this has what it printed itself";
}

TEST(ResultLine, OfTheLargestOutputIsReadBack) {
  OwnedResult result = command_line();
  for (const char letter : {'\1', '"', 'x'}) {
    result.outcome.command->standard_output = std::string(kCaptureBytesMax, letter);
    result.outcome.command->standard_error = std::string(kCaptureBytesMax, letter);
    const std::string line = printed(result);
    EXPECT_LE(line.size(), kResultLineBytesMax);
    ResultView view;
    ASSERT_TRUE(read_result_view(line, view));
    EXPECT_EQ(standard_output_of(view), result.outcome.command->standard_output);
    EXPECT_EQ(view.standard_output.empty(), letter != 'x') << "escapes take more than base64";
  }
}

}  // namespace
}  // namespace workpool
