// SPDX-License-Identifier: MIT
#include "common/formats/result_view.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

#include "common/base/text.h"
#include "common/formats/results_file.h"
#include "tests/support/owned_result.h"

namespace workpool {
namespace {

OwnedResult command_result() {
  OwnedResult result;
  result.id = "logs";
  result.line = 12;
  result.attempt = 2;
  result.outcome.status = Status::kFailed;
  result.outcome.kind = ErrorKind::kExit;
  result.outcome.message = "exit status 3";
  result.outcome.command.emplace();
  result.outcome.command->exit = 3;
  result.outcome.command->standard_output = "a \"b\"\\\n\t\x01ü";
  result.outcome.command->standard_error = std::string("\xff\0z", 3);
  result.outcome.command->truncated = 77;
  result.worker = "node 7";
  result.queued = microseconds(1200);
  result.ran = microseconds(35100);
  result.finished_ms = 1'795'450'867'123;
  result.run = RunId{0xabc};
  result.spec = spec_of_work("x");
  return result;
}

std::string printed(const OwnedResult& result) {
  std::string line;
  append_result_line(line, result);
  line.pop_back();
  return line;
}

// `members`: what stands between the braces, without a crc.
std::string line_with(const std::string& members) {
  std::string line = "{" + members;
  append_crc(line, 0);
  line.pop_back();
  return line;
}

ResultView view_of(const std::string& line) {
  ResultView view;
  EXPECT_TRUE(read_result_view(line, view)) << line;
  return view;
}

TEST(ResultView, FindsEveryMemberOfAPrintedLine) {
  const std::string line = printed(command_result());
  const ResultView view = view_of(line);
  EXPECT_EQ(text_in(view.id), "logs");
  EXPECT_EQ(number_in(view.line), 12);
  EXPECT_EQ(text_in(view.status), "failed");
  EXPECT_EQ(number_in(view.attempt), 2);
  EXPECT_EQ(error_of(view).kind, "exit");
  EXPECT_EQ(error_of(view).message, "exit status 3");
  EXPECT_EQ(number_in(view.exit), 3);
  EXPECT_EQ(view.signal, "");
  EXPECT_EQ(standard_output_of(view), command_result().outcome.command->standard_output);
  EXPECT_EQ(standard_error_of(view), command_result().outcome.command->standard_error);
  EXPECT_EQ(number_in(view.truncated), 77);
  EXPECT_EQ(view.value, "");
  EXPECT_EQ(text_in(view.worker), "node 7");
  EXPECT_EQ(duration_in(view.queued_ms), microseconds(1200));
  EXPECT_EQ(duration_in(view.run_ms), microseconds(35100));
  EXPECT_EQ(text_in(view.finished), Timestamp(1'795'450'867'123).text());
  EXPECT_EQ(text_in(view.run), "0000000000000abc");
  EXPECT_EQ(text_in(view.spec), hex(spec_of_work("x")));
}

TEST(ResultView, TakesMembersInAnyOrderAndUnknownOnes) {
  const std::string line = line_with(
      R"("run":"r" , "new":{"id":"inner","a":[1,"}"]}, "line": 7,"id":"a\u0062","cpu_ms":1.5,"max_rss_kib":2048)");
  const ResultView view = view_of(line);
  EXPECT_EQ(text_in(view.id), "ab");
  EXPECT_EQ(number_in(view.line), 7);
  EXPECT_EQ(text_in(view.run), "r");
  EXPECT_EQ(duration_in(view.cpu_ms), microseconds(1500));
  EXPECT_EQ(number_in(view.max_rss_kib), 2048);
}

TEST(ResultView, RefusesWhatIsNoLine) {
  ResultView view;
  std::string damaged = printed(command_result());
  damaged[30] ^= 1;
  for (const std::string& line : {damaged, std::string(), std::string("{}"), line_with("\"id\""),
                                  line_with("\"id\":1,"), std::string("x")})
    EXPECT_FALSE(read_result_view(line, view)) << line;
}

TEST(ResultView, KeepsNothingOfTheLineBefore) {
  const std::string first = printed(command_result());
  const std::string second = line_with(R"("id":"b")");
  ResultView view;
  ASSERT_TRUE(read_result_view(first, view));
  ASSERT_TRUE(read_result_view(second, view));
  EXPECT_EQ(view.worker, "");
  EXPECT_EQ(view.exit, "");
}

TEST(ResultView, AMemberOfAnotherTypeSaysNothing) {
  EXPECT_EQ(text_in("12"), "");
  EXPECT_EQ(text_in("\""), "");
  EXPECT_EQ(text_in(""), "");
  for (const char* no_number : {"", "\"1\"", "1.5", "1e3", "null", "99999999999999999999"})
    EXPECT_FALSE(number_in(no_number)) << no_number;
  for (const char* no_duration : {"", "\"1\"", "-1", "nan", "inf", "1e300", "true", "1 "})
    EXPECT_FALSE(duration_in(no_duration)) << no_duration;
  EXPECT_EQ(number_in("-1"), -1);
  EXPECT_EQ(duration_in("0.0004"), Duration(0));
  const std::string line = line_with(R"("error":"no object","each":[1],"stdout_base64":"?")");
  const ResultView view = view_of(line);
  EXPECT_EQ(error_of(view).kind, "");
  EXPECT_TRUE(inputs_of(view).empty());
  EXPECT_EQ(standard_output_of(view), "");
}

TEST(ResultView, KnowsWhichIdsWereGiven) {
  OwnedResult result = command_result();
  const std::string given = printed(result);
  EXPECT_TRUE(has_given_id(view_of(given)));
  result.id.clear();
  result.repeat = 2;
  const std::string by_default = printed(result);
  EXPECT_FALSE(has_given_id(view_of(by_default)));
  result.repeat = 0;
  result.id = "L12";
  const std::string by_line = printed(result);
  EXPECT_FALSE(has_given_id(view_of(by_line)));
  result.id = "L13";
  const std::string like_another_line = printed(result);
  EXPECT_TRUE(has_given_id(view_of(like_another_line)));
}

TEST(ResultView, InputsAreTextOrBytes) {
  const std::string line = line_with(R"("each":{"1":"0.1","rate":"a\nb","2":{"base64":"/wBh"},"3":7})");
  const auto inputs = inputs_of(view_of(line));
  ASSERT_EQ(inputs.size(), 4U);
  EXPECT_EQ(inputs[0], (std::pair<std::string, std::string>("1", "0.1")));
  EXPECT_EQ(inputs[1], (std::pair<std::string, std::string>("rate", "a\nb")));
  EXPECT_EQ(inputs[2], (std::pair<std::string, std::string>("2", std::string("\xff\0a", 3))));
  EXPECT_EQ(inputs[3], (std::pair<std::string, std::string>("3", "")));
}

// What is read of a line when it is replayed has its line, too.
TEST(ReplayedLine, KnowsItsLineOfTheJobsFile) {
  ReplayedLine read;
  ASSERT_EQ(read_result_line(printed(command_result()), read), LineDamage::kNone);
  EXPECT_EQ(read.line, 12U);
  const std::string rest =
      R"("status":"ok","run":"0123456789abcdef","spec":")" + std::string(32, '0') + R"(","id":"a")";
  ASSERT_EQ(read_result_line(line_with("\"line\": 17 ," + rest), read), LineDamage::kNone);
  EXPECT_EQ(read.line, 17U);
  for (const std::string no_line :
       {"", "\"line\":\"3\",", "\"line\":-3,", "\"line\":3.5,", "\"line\":null,"}) {
    ASSERT_EQ(read_result_line(line_with(no_line + rest), read), LineDamage::kNone) << no_line;
    EXPECT_EQ(read.line, 0U) << no_line;
  }
}

RC_GTEST_PROP(ResultView, OutputComesBackByteForByte, (const std::string& out, const std::string& err)) {
  OwnedResult result = command_result();
  result.outcome.command->standard_output = out;
  result.outcome.command->standard_error = err;
  const std::string line = printed(result);
  ResultView view;
  RC_ASSERT(read_result_view(line, view));
  RC_ASSERT(standard_output_of(view) == out);
  RC_ASSERT(standard_error_of(view) == err);
}

}  // namespace
}  // namespace workpool
