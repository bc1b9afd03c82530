// SPDX-License-Identifier: MIT
#include "dispatcher/io/verify.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/owned_result.h"
#include "tests/unit_io/results_fixture.h"

namespace workpool::dispatcher {
namespace {

class Verify : public testing::Test {
 protected:
  VerifyReport report_of(const JobIndex& index, const std::string& results) {
    folder_.write(folder_.results(), results);
    const OpenFile file(folder_.results());
    return verify_results(index, file.fd(), [](JobNumber number) { return "#" + std::to_string(number); });
  }
  VerifyAnswer answer_of(const std::string& jobs, const std::string& results) {
    VerifyOptions options;
    options.jobs = folder_.path("jobs.jsonl");
    options.results = folder_.results();
    folder_.write(options.jobs, jobs);
    folder_.write(options.results, results);
    return verify(options);
  }
  // A line for the job {"cmd":["WORD"]} of this id, a default one if it is empty.
  static std::string result_of(const std::string& word, const std::string& id = "") {
    OwnedResult line;
    line.spec = spec_of_work(R"({"cmd":[")" + word + R"("]})");
    line.id = id;
    line.repeat = id.empty() ? 1 : 0;
    line.run = kRun;
    std::string text;
    append_result_line(text, line);
    return text;
  }
  static bool has(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }

  ResultsFolder folder_;
};

TEST_F(Verify, EveryJobHasItsLine) {
  const JobIndex index = index_of({"a", "b", "c"});
  const VerifyReport report = report_of(
      index, line_of("a", Status::kFailed) + line_of("c") + line_of("b", Status::kTimeout) + line_of("a"));
  EXPECT_TRUE(report.complete());
  EXPECT_EQ(report.jobs, 3U);
  EXPECT_EQ(report.jobs_of(Status::kOk), 2U);
  EXPECT_EQ(report.jobs_of(Status::kTimeout), 1U);
  EXPECT_EQ(report.jobs_of(Status::kFailed), 0U) << "a later line replaced it";
  EXPECT_EQ(report.results.superseded, 1U);
  EXPECT_EQ(report.superseded_first, std::vector<std::string>{"a"});
}

TEST_F(Verify, AJobWithoutItsLineIsNamed) {
  const JobIndex index = index_of({"a", "b", "c", "d"});
  std::string bad = line_of("d");
  bad[20] ^= 1;
  const VerifyReport report = report_of(index, line_of("a", Status::kOk, 2) + line_of("b", Status::kInvalid) +
                                                   line_of("x") + bad + line_of("c"));
  EXPECT_FALSE(report.complete());
  EXPECT_EQ(report.missing, 3U);
  ASSERT_EQ(report.missing_first.size(), 3U);
  EXPECT_EQ(report.missing_first[0].line, 1U);
  EXPECT_EQ(report.missing_first[0].id, "#0");
  EXPECT_TRUE(report.missing_first[0].changed);
  EXPECT_FALSE(report.missing_first[1].changed);
  EXPECT_EQ(report.results.superseded, 1U);
  EXPECT_EQ(report.removed_first, std::vector<std::string>{"x"});
  const std::string text = format_report(report, "jobs", "results");
  EXPECT_TRUE(has(text, "not complete: 1 job of 4 in jobs has a result in results\n")) << text;
  EXPECT_TRUE(has(text, "  missing: line 1, id #0 (its results are of other work)\n")) << text;
  EXPECT_TRUE(has(text, "  removed: 1 line of ids that are not in the jobs file: x\n")) << text;
  EXPECT_TRUE(has(text, "  damaged: 1 line (crc missing or wrong, not counted): 4\n")) << text;
}

TEST_F(Verify, ListsAreBounded) {
  const JobIndex index = index_of(ids_up_to(50));
  std::string results;
  for (int i = 0; i < 50; ++i) results += line_of("gone" + std::to_string(i));
  const VerifyReport report = report_of(index, results);
  EXPECT_EQ(report.missing, 50U);
  EXPECT_EQ(report.missing_first.size(), kVerifyListed);
  const std::string text = format_report(report, "jobs", "results");
  EXPECT_TRUE(has(text, "  missing: 30 more\n")) << text;
  EXPECT_TRUE(has(text, "gone19 and 30 more\n")) << text;
}

TEST_F(Verify, ARunThatIsGoingOnMayBeInTheMiddleOfALine) {
  const VerifyReport report = report_of(index_of({"a", "b"}), line_of("a") + line_of("b").substr(0, 25));
  EXPECT_EQ(report.missing, 1U);
  EXPECT_TRUE(
      has(format_report(report, "j", "r"), "  torn: the last 25 bytes are the beginning of a line\n"));
}

TEST_F(Verify, ControlCharactersDoNotReachTheTerminal) {
  const std::string text = format_report(report_of(index_of({"a"}), line_of("\x1b[31m")), "j\x1b", "r\n");
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

// ---- the command ----

TEST_F(Verify, TheCommandAnswersByItsExitCode) {
  const std::string jobs = R"({"cmd":["one"]})"
                           "\n\n"
                           R"({"cmd":["two"],"id":"second"})"
                           "\n"
                           R"({"cmd":["one"]})"
                           "\n";
  std::string repeat = result_of("one");
  VerifyAnswer answer = answer_of(jobs, result_of("one") + result_of("two", "second"));
  EXPECT_EQ(answer.exit_code, ExitCode::kNotAllOk);
  EXPECT_TRUE(answer.is_report);
  const std::string repeated = default_id(spec_of_work(R"({"cmd":["one"]})"), 2);
  EXPECT_TRUE(has(answer.text, "  missing: line 4, id " + repeated + "\n")) << answer.text;

  OwnedResult line;
  line.spec = spec_of_work(R"({"cmd":["one"]})");
  line.repeat = 2;
  append_result_line(repeat, line);
  answer = answer_of(jobs, repeat + result_of("two", "second"));
  EXPECT_EQ(answer.exit_code, ExitCode::kOk) << answer.text;
  EXPECT_TRUE(has(answer.text, "complete: 3 jobs of 3")) << answer.text;
  EXPECT_EQ(folder_.read(folder_.results()), repeat + result_of("two", "second"));
  EXPECT_FALSE(std::filesystem::exists(folder_.state()));
}

TEST_F(Verify, NoJobsAreComplete) { EXPECT_EQ(answer_of("", "").exit_code, ExitCode::kOk); }

TEST_F(Verify, ABadJobsFileIs65) {
  const VerifyAnswer answer = answer_of("{\"cmd\":[\"a\"]}\n{\"cmd\":}\n", "");
  EXPECT_EQ(answer.exit_code, ExitCode::kBadInput);
  EXPECT_FALSE(answer.is_report);
  EXPECT_TRUE(has(answer.text, "jobs.jsonl:2:")) << answer.text;
  VerifyOptions options;
  options.jobs = folder_.path("none.jsonl");
  options.results = folder_.results();
  EXPECT_EQ(verify(options).exit_code, ExitCode::kBadInput);
}

TEST_F(Verify, ResultsThatCannotBeReadAre1) {
  VerifyOptions options;
  options.jobs = folder_.path("jobs.jsonl");
  folder_.write(options.jobs, "");
  for (const std::string& path : {folder_.path("none"), folder_.path(""), std::string("/dev/null")}) {
    options.results = path;
    const VerifyAnswer answer = verify(options);
    EXPECT_EQ(answer.exit_code, ExitCode::kNotAllOk) << path;
    EXPECT_FALSE(answer.is_report);
    EXPECT_TRUE(has(answer.text, "cannot read the results file")) << answer.text;
  }
}

}  // namespace
}  // namespace workpool::dispatcher
