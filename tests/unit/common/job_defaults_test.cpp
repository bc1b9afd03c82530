// SPDX-License-Identifier: MIT
#include "common/formats/job_defaults.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "common/formats/jobs_file.h"

namespace workpool {
namespace {

JobDefaults defaults_of(std::string_view line) {
  EXPECT_TRUE(is_defaults_line(line)) << line;
  auto read = read_job_defaults(line);
  if (const auto* error = std::get_if<LineError>(&read)) {
    ADD_FAILURE() << line << " refused at " << error->column << ": " << error->message;
    return {};
  }
  return std::get<JobDefaults>(std::move(read));
}

// "15: message"
std::string refusal_of(std::string_view line) {
  EXPECT_TRUE(is_defaults_line(line)) << line;
  const auto read = read_job_defaults(line);
  const auto* error = std::get_if<LineError>(&read);
  return error == nullptr ? "taken" : std::to_string(error->column) + ": " + error->message;
}

JobLine job_of(std::string_view line, const JobDefaults& defaults,
               JobsFormat format = JobsFormat::kJsonLines) {
  JobLineParser parser(format, std::make_shared<const JobDefaults>(defaults));
  const auto parsed = parser.parse(line);
  const auto* job = std::get_if<JobView>(&parsed);
  return job == nullptr ? JobLine{} : job->own();
}

const std::string kAll =
    R"({"defaults": {"cwd": "/d", "env": {"A": "1", "B" : "2"}, "shell": "bash", "timeout": "5m",)"
    R"( "retries": 2, "labels": ["b", "a"]}})";

TEST(JobDefaults, AreWhatTheLineSays) {
  const JobDefaults all = defaults_of(kAll);
  EXPECT_EQ(all.timeout, seconds(300));
  EXPECT_EQ(all.retries, 2U);
  EXPECT_EQ(all.labels, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(all.cwd, R"("/d")");
  EXPECT_EQ(all.shell, R"("bash")");
  ASSERT_EQ(all.env.size(), 2U);
  EXPECT_EQ(all.env[1].second, R"("B":"2")");
  EXPECT_FALSE(defaults_of(R"({"defaults":{}})").change_lines());
}

TEST(JobDefaults, ALineThatIsNoneIsNotTakenForOne) {
  for (const std::string_view line :
       {"", "{", "{}", R"({"defaults"})", R"({"cmd":"x","defaults":{}})", R"(["defaults"])", "defaults: x"})
    EXPECT_FALSE(is_defaults_line(line)) << line;
}

TEST(JobDefaults, AreCheckedLikeAJob) {
  EXPECT_EQ(refusal_of(R"({"defaults": {"cwd": ""}})"),
            "22: \"cwd\" must be a string that is not empty: the folder to run in");
  EXPECT_NE(refusal_of(R"({"defaults": {"env": {"A": 1}}})").find("28: a value of \"env\" must be"),
            std::string::npos);
  EXPECT_NE(refusal_of(R"({"defaults": {"timeout": "soon"}})").find("26: \"timeout\" must be"),
            std::string::npos);
  EXPECT_EQ(refusal_of(R"({"defaults": {"cmd": "x"}})"),
            "15: \"cmd\" cannot be a default: the defaults are cwd, env, timeout, retries, labels, limit, "
            "shell, stdout, stderr");
  EXPECT_NE(refusal_of(R"({"defaults": {"shel": "x"}})").find("unknown default \"shel\""), std::string::npos);
  EXPECT_NE(refusal_of(R"({"defaults": {"cwd": "a", "cwd": "b"}})").find("27: the default \"cwd\" occurs"),
            std::string::npos);
  EXPECT_NE(
      refusal_of(R"({"defaults": {}, "cmd": "x"})").find("18: a line of defaults or limits holds nothing"),
      std::string::npos);
  EXPECT_NE(refusal_of(R"({"defaults": []})").find("14: \"defaults\" must be an object"), std::string::npos);
  EXPECT_NE(refusal_of(R"({"defaults": {"cwd": "a})"), "taken");
}

TEST(JobDefaults, FillInWhatAJobDoesNotSay) {
  const JobDefaults all = defaults_of(kAll);
  EXPECT_EQ(job_of(R"({"cmd":"x"})", all).work,
            R"({"cmd":"x","env":{"A":"1","B":"2"},"cwd":"/d","shell":"bash"})");
  EXPECT_EQ(job_of(R"({"cmd":["x"]})", all).work, R"({"cmd":["x"],"env":{"A":"1","B":"2"},"cwd":"/d"})")
      << "no shell runs it";
  EXPECT_EQ(
      job_of(R"({"cmd":"x","cwd":"/e","shell":"sh","stdin":"i","ok_exit":[1],"env":{"B":"3"}})", all).work,
      R"({"cmd":"x","env":{"B":"3","A":"1"},"cwd":"/e","stdin":"i","shell":"sh","ok_exit":[1]})");
  EXPECT_EQ(job_of(R"({"cmd":"x","env":{"\u0041":""}})", all).work,
            R"({"cmd":"x","env":{"\u0041":"","B":"2"},"cwd":"/d","shell":"bash"})")
      << "an escape is the same name";
  EXPECT_EQ(job_of(R"({"cmd":"x","env":{}})", all).work, job_of(R"({"cmd":"x"})", all).work);
  EXPECT_EQ(job_of("x", all, JobsFormat::kLines).work, job_of(R"({"cmd":"x"})", all).work);
  const JobLine handler = job_of(R"({"type":"noop","args":1})", all);
  EXPECT_EQ(handler.work, R"({"type":"noop","args":1})") << "it has no folder";
  EXPECT_EQ(handler.requirement.labels, (std::vector<std::string>{"a", "b"}));
}

TEST(JobDefaults, AnEmptyListOfLabelsSaysThatThereAreNone) {
  const JobDefaults all = defaults_of(kAll);
  for (const std::string_view line :
       {R"({"cmd":"x","labels":[]})", R"({"cmd":"\u0041","labels":[]})", R"({"type":"noop","labels":[]})"})
    EXPECT_TRUE(job_of(line, all).requirement.labels.empty()) << line;
  EXPECT_EQ(job_of(R"({"cmd":"\u0041"})", all).requirement.labels.size(), 2U);
}

TEST(JobDefaults, TheCommandLineWinsOverTheFirstLine) {
  JobDefaults given;
  given.set_cwd("/c");
  given.set_variable("B", "3");
  given.set_variable("B", "\"4\"");
  given.retries = 0;
  given.fill_in(defaults_of(kAll));
  EXPECT_EQ(job_of(R"({"cmd":["x"]})", given).work,
            R"({"cmd":["x"],"env":{"B":"\"4\"","A":"1"},"cwd":"/c"})");
  EXPECT_EQ(given.retries, 0U);
  EXPECT_EQ(given.timeout, seconds(300));
  given.set_cwd("/\xff");
  EXPECT_EQ(given.cwd, R"({"base64":"L/8="})");
}

TEST(JobDefaults, AJobThatIsTooLargeWithThemIsRefused) {
  JobDefaults large;
  for (int i = 0; i < 9; ++i) large.set_variable("V" + std::to_string(i), std::string(130'000, 'v'));
  JobLineParser parser(JobsFormat::kJsonLines, std::make_shared<const JobDefaults>(large));
  const auto parsed = parser.parse(R"({"cmd":["x"]})");
  ASSERT_TRUE(std::holds_alternative<LineError>(parsed));
  EXPECT_NE(std::get<LineError>(parsed).message.find("more than 1 MiB"), std::string::npos);
}

TEST(JobDefaults, ALineOfThemElsewhereIsAnError) {
  JobLineParser parser(JobsFormat::kJsonLines);
  for (const std::string_view line : {R"({"defaults": {"cwd": "a"}})", R"({"cmd":"x","defaults":{}})"}) {
    const auto parsed = parser.parse(line);
    ASSERT_TRUE(std::holds_alternative<LineError>(parsed)) << line;
    EXPECT_NE(std::get<LineError>(parsed).message.find("must be in the first line"), std::string::npos);
  }
}

// ---- both parsers, and a work that has them already ----

std::string random_member() {
  return *rc::gen::element<std::string>(
      R"("type":"noop")", R"("cmd":"a")", R"("cmd":["a" , "b"])", R"("cmd":"\u0041")", R"("args":1)",
      R"("id":"i")", R"("labels":["b","a"])", R"("labels":[])", R"("slots":2)", R"("timeout":3)",
      R"("env":{"A":"7"})", R"("env":{ })", R"("env":{"\u0042":"x","C":"y"})", R"("cwd":"/")",
      R"("stdin":"x")", R"("shell":"zsh")", R"("ok_exit":[0, 3])", R"("meta":{"a":1})");
}

std::string random_defaults() {
  std::string line = "{\"defaults\":{";
  for (const std::string_view member : {R"("cwd":"/d")", R"("env":{"A":"1","B":"2"})", R"("shell":"bash")",
                                        R"("labels":["x"])", R"("retries":3)"}) {
    if (*rc::gen::arbitrary<bool>()) line.append(line.ends_with('{') ? "" : ",").append(member);
  }
  return line + "}}";
}

RC_GTEST_PROP(JobDefaultsProperty, BothParsersMakeTheSameAndOnceIsEnough, ()) {
  std::string line = "{";
  const int members = *rc::gen::inRange(1, 6);
  for (int i = 0; i < members; ++i) line += (i > 0 ? "," : "") + random_member();
  line += "}";
  const auto defaults = std::make_shared<const JobDefaults>(defaults_of(random_defaults()));
  JobLineParser parser(JobsFormat::kJsonLines, defaults);
  const auto parsed = parser.parse(line);
  RC_CLASSIFY(std::holds_alternative<JobView>(parsed));
  if (!std::holds_alternative<JobView>(parsed)) return;
  const JobLine job = std::get<JobView>(parsed).own();
  JobLineParser general(JobsFormat::kJsonLines, defaults);
  RC_ASSERT(std::get<JobView>(general.parse_as_any(line)).own() == job);
  RC_ASSERT(job.spec == spec_of_job(job.work));
  RC_ASSERT(!std::holds_alternative<LineError>(WorkParser().parse(job.work)));
  const auto again = parser.parse(job.work);
  RC_ASSERT(std::get<JobView>(again).work == job.work);
}

}  // namespace
}  // namespace workpool
