// SPDX-License-Identifier: MIT
// What limits allow: their text, which rule a key has, and the members of a jobs file about them.
#include "common/formats/limit_rules.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <variant>

#include "common/formats/job_defaults.h"
#include "common/formats/jobs_file.h"

namespace workpool {
namespace {

LimitRule rule_of(std::string_view text) {
  const auto parsed = parse_limit_rule(text);
  EXPECT_TRUE(std::holds_alternative<LimitRule>(parsed)) << text;
  return std::holds_alternative<LimitRule>(parsed) ? std::get<LimitRule>(parsed) : LimitRule{};
}
std::string fault_of(std::string_view text) {
  const auto parsed = parse_limit_rule(text);
  return std::holds_alternative<std::string>(parsed) ? std::get<std::string>(parsed) : "none";
}

TEST(LimitRule, IsANumberARateOrBoth) {
  EXPECT_EQ(rule_of("3"), (LimitRule{3, 0, Duration{0}}));
  EXPECT_EQ(rule_of("10/s"), (LimitRule{0, 10, seconds(1)}));
  EXPECT_EQ(rule_of("2,5/s"), (LimitRule{2, 5, seconds(1)}));
}

TEST(LimitRule, IsKeptEvenly) {
  EXPECT_EQ(rule_of("100/m"), (LimitRule{0, 2, milliseconds(1200)}));
  EXPECT_EQ(rule_of("600/m"), (LimitRule{0, 10, seconds(1)}));
  EXPECT_EQ(rule_of("0.5/s"), (LimitRule{0, 1, seconds(2)}));
  EXPECT_EQ(rule_of("1/10s"), (LimitRule{0, 1, seconds(10)}));
  EXPECT_EQ(rule_of("2/h"), (LimitRule{0, 1, seconds(1800)}));
  EXPECT_EQ(rule_of("1/100ms"), (LimitRule{0, 10, seconds(1)}));
  EXPECT_EQ(rule_of("59/m"), (LimitRule{0, 1, microseconds(1'016'950)}));
  EXPECT_EQ(rule_of("7/h"), (LimitRule{0, 1, microseconds(514'285'715)}));
}

TEST(LimitRule, IsReadBackFromItsText) {
  for (const char* text :
       {"1", "3", "10/s", "2,5/s", "100/m", "1/s", "7/h", "1000000/s", "0.001/s", "3,1/7s", "11/13s"})
    EXPECT_EQ(rule_of(text_of(rule_of(text))), rule_of(text)) << text << " is " << text_of(rule_of(text));
  EXPECT_EQ(text_of(rule_of("2,100/m")), "2,100/m");
  EXPECT_EQ(text_of(rule_of("59/m")), "1/1.01695s");
}

TEST(LimitRule, ThatStartsNothingOrIsNoneIsRefused) {
  EXPECT_EQ(fault_of("0"), "a limit of 0 would start nothing");
  EXPECT_EQ(fault_of("0/s"), "a rate of 0 would start nothing");
  EXPECT_EQ(fault_of("2,0/s"), "a rate of 0 would start nothing");
  for (const char* text : {"", ",", "x", "-1", "3,", "3,4", "5/s,2", "5/", "/s", "5/0s", "1e3", "1.2345/s",
                           " 3", "3/x", "1.", "2,3/s,4"})
    EXPECT_NE(fault_of(text).find("10/s"), std::string::npos) << text << ": " << fault_of(text);
  EXPECT_NE(fault_of("1000001"), "none");
  EXPECT_NE(fault_of("2000000/s"), "none");
}

TEST(LimitRules, AKeyHasItsOwnRuleOrThatOfTheLongestPattern) {
  LimitRules rules;
  rules.set("host:*", rule_of("2"));
  rules.set("host:*.org", rule_of("3"));
  rules.set("*", rule_of("9"));
  rules.set("host:a.org", rule_of("1"));
  EXPECT_EQ(rules.find("host:a.org")->most, 1U);
  EXPECT_EQ(rules.find("host:b.org")->most, 3U);
  EXPECT_EQ(rules.find("host:b.com")->most, 2U);
  EXPECT_EQ(rules.find("other")->most, 9U);
  EXPECT_EQ(rules.find("host:")->most, 2U);
}

TEST(LimitRules, WhatWasSaidFirstIsKept) {
  LimitRules given;
  given.set("a", rule_of("1"));
  LimitRules file;
  file.set("a", rule_of("2"));
  file.set("b*", rule_of("3"));
  file.set_rate(std::get<LimitRule>(parse_rate("5/s")));
  given.fill_in(file);
  EXPECT_EQ(given.find("a")->most, 1U);
  EXPECT_EQ(given.find("bb")->most, 3U);
  EXPECT_EQ(given.rate()->starts, 5U);
  EXPECT_EQ(given.names(), "a, b*");
  EXPECT_EQ(given.json(), R"({"a":"1","b*":"3"})");
}

// ---- in jobs ----

std::shared_ptr<const JobDefaults> defaults_of(std::string_view line) {
  auto read = read_job_defaults(line);
  EXPECT_TRUE(std::holds_alternative<JobDefaults>(read)) << line;
  return std::make_shared<const JobDefaults>(std::get<JobDefaults>(std::move(read)));
}
std::vector<Limit> limits_of(JobLineParser& parser, std::string_view line) {
  const auto parsed = parser.parse(line);
  const auto* job = std::get_if<JobView>(&parsed);
  EXPECT_NE(job, nullptr) << line;
  if (job == nullptr) return {};
  const auto as_any = parser.parse_as_any(line);
  return std::get<JobView>(as_any).own().requirement.limits;
}

TEST(LimitsOfJobs, AreFoundByTheirKeys) {
  JobLineParser parser(JobsFormat::kJsonLines, defaults_of(R"({"limits":{"db":3,"host:*":"2,5/s"}})"));
  EXPECT_EQ(limits_of(parser, R"({"cmd":["a"],"limit":"db"})"), (std::vector<Limit>{{"db", rule_of("3")}}));
  EXPECT_EQ(limits_of(parser, R"({"type":"t","limit":["host:b","db","db"]})"),
            (std::vector<Limit>{{"db", rule_of("3")}, {"host:b", rule_of("2,5/s")}}));
  EXPECT_TRUE(limits_of(parser, R"({"cmd":["a"]})").empty());
  EXPECT_TRUE(limits_of(parser, R"({"cmd":["a"],"limit":[]})").empty());
}

TEST(LimitsOfJobs, BothParsersFindTheSame) {
  JobLineParser parser(JobsFormat::kJsonLines, defaults_of(R"({"limits":{"*":1}})"));
  for (const char* line : {R"({"cmd":["a"],"limit":"x"})", R"({"type":"t","args":1,"limit":["z","y"]})"}) {
    const JobLine quick = std::get<JobView>(parser.parse(line)).own();
    EXPECT_EQ(std::get<JobView>(parser.parse_as_any(line)).own(), quick) << line;
    EXPECT_FALSE(quick.requirement.limits.empty());
  }
}

TEST(LimitsOfJobs, AreNoPartOfTheWork) {
  JobLineParser parser(JobsFormat::kJsonLines, defaults_of(R"({"limits":{"*":1}})"));
  const Spec with = std::get<JobView>(parser.parse(R"({"cmd":["a"],"limit":"x"})")).spec;
  EXPECT_EQ(std::get<JobView>(parser.parse(R"({"cmd":["a"]})")).spec, with);
}

TEST(LimitsOfJobs, DefaultsAndTheRateGoToTheRest) {
  auto defaults = *defaults_of(R"({"defaults":{"limit":"db"},"limits":{"db":3,"a":1}})");
  defaults.limits->set_rate(std::get<LimitRule>(parse_rate("7/s")));
  JobLineParser parser(JobsFormat::kJsonLines, std::make_shared<const JobDefaults>(defaults));
  const Limit all{"", rule_of("7/s")};
  EXPECT_EQ(limits_of(parser, R"({"cmd":["a"]})"), (std::vector<Limit>{all, {"db", rule_of("3")}}));
  EXPECT_EQ(limits_of(parser, R"({"cmd":["a"],"limit":"a"})"),
            (std::vector<Limit>{all, {"a", rule_of("1")}}));
  EXPECT_EQ(limits_of(parser, R"({"cmd":["a"],"limit":[]})"), (std::vector<Limit>{all}));
}

TEST(LimitsOfJobs, AKeyWithoutARuleIsAnErrorWithItsPlace) {
  JobLineParser parser(JobsFormat::kJsonLines, defaults_of(R"({"limits":{"db":3}})"));
  const auto parsed = parser.parse(R"({"cmd":["a"], "limit":"dv"})");
  const auto* error = std::get_if<LineError>(&parsed);
  ASSERT_NE(error, nullptr);
  EXPECT_EQ(error->column, 23U);
  EXPECT_EQ(error->message.find("nothing says what the limit \"dv\" allows (there are db)"), 0U)
      << error->message;
}

TEST(LimitsOfJobs, WhoDoesNotCareNeedsNoRules) {
  JobLineParser parser(JobsFormat::kJsonLines);
  EXPECT_TRUE(limits_of(parser, R"({"cmd":["a"],"limit":"dv"})").empty());
}

TEST(LimitsOfJobs, WrongMembersAreRefused) {
  JobLineParser parser(JobsFormat::kJsonLines, defaults_of(R"({"limits":{"*":1}})"));
  for (const char* value : {"1", "{}", "[1]", "\"\"", "[\"\"]", "[[\"a\"]]", "null",
                            R"(["1","2","3","4","5","6","7","8","9"])", R"("\u0000")"}) {
    const auto parsed = parser.parse(R"({"cmd":["a"],"limit":)" + std::string(value) + "}");
    EXPECT_TRUE(std::holds_alternative<LineError>(parsed)) << value;
  }
  for (const char* line :
       {R"({"limits":1})", R"({"limits":{"a":0}})", R"({"limits":{"a":-1}})", R"({"limits":{"a":1.5}})",
        R"({"limits":{"a":"0/s"}})", R"({"limits":{"a*b*":1}})", R"({"limits":{"":1}})",
        R"({"limits":{"a":1,"a":2}})", R"({"limits":{"a":1},"limits":{}})",
        R"({"limits":{},"defaults":{},"limits":{}})", R"({"limits":{"a":[1]}})"}) {
    ASSERT_TRUE(is_defaults_line(line));
    EXPECT_TRUE(std::holds_alternative<LineError>(read_job_defaults(line))) << line;
  }
}

}  // namespace
}  // namespace workpool
