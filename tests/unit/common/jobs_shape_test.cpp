// SPDX-License-Identifier: MIT
#include "common/formats/jobs_shape.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool {
namespace {

constexpr JobsFormat kLines = JobsFormat::kLines;
constexpr JobsFormat kJson = JobsFormat::kJsonLines;

JobsShape shape(std::string_view text, JobsFormat format = kLines, bool whole = true) {
  return jobs_shape(text, whole, format);
}

TEST(JobsShape, JsonLinesAreNoShellCommands) {
  for (const std::string text :
       {"{\"cmd\":[\"true\"]}\n", "{\"cmd\":[\"true\"]}", "{ \"cmd\": \"echo a; echo b\" }\n",
        "\xef\xbb\xbf{\"id\":1}\n", "\n  \n\t{\"id\" : 1}\r\n{\"id\":2}\r\n", "# jobs\n{\"type\":\"noop\"}\n",
        "{\"cmd\":[\"true\"],}\n", "{ \"cmd\": [\"true\"], }\n", "{\"cmd\":[\"a\"]} {\"cmd\":[\"b\"]}\n"}) {
    EXPECT_EQ(shape(text), JobsShape::kJsonLines) << text;
  }
}

TEST(JobsShape, AnArrayOfObjects) {
  for (const std::string text :
       {"[{\"cmd\":[\"true\"]}]", "[\n  {\n    \"cmd\": [\"true\"]\n  }\n]\n",
        "[\r\n\r\n{\"cmd\":\"a;b\"},\r\n", "[ {\"a\":1} ]\n", "\xef\xbb\xbf\n[ \n{ \"a\"\n:1}]",
        "[{\"cmd\":[\"true\"]},\n {\"cmd\":[\"false\"]},\n]"}) {
    EXPECT_EQ(shape(text), JobsShape::kJsonArray) << text;
    EXPECT_EQ(shape(text, kJson), JobsShape::kJsonArray) << text;
    EXPECT_EQ(shape(text.substr(0, text.find(':') + 1), kLines, false), JobsShape::kJsonArray) << text;
  }
}

TEST(JobsShape, ObjectsOverSeveralLines) {
  for (const std::string text :
       {"{\n  \"cmd\": [\"true\"]\n}\n", "{\n  \"cmd\": \"a\"\n}\n{\n  \"cmd\": \"b\"\n}\n",
        "{ \"cmd\": [\"true\"],\n  \"id\": \"x\" }\n", "{\"cmd\": [\n\"true\"]}",
        "\n\n{ \"jobs\": [\n  {\"cmd\": \"a\"},\n  {\"cmd\": \"b\"}\n]}"}) {
    EXPECT_EQ(shape(text), JobsShape::kIndentedObjects) << text;
    EXPECT_EQ(shape(text, kJson), JobsShape::kIndentedObjects) << text;
  }
}

TEST(JobsShape, ShellCommandsAreLeftAlone) {
  for (const std::string text : {"",
                                 "\n",
                                 "# only a comment",
                                 "ls -l\n",
                                 "{ echo a; echo b; }\n",
                                 "[ -f x ] && y\n",
                                 "[[ -f x ]]\n",
                                 "[ \"$a\" = b ]\n",
                                 "[ {\"a\": = x ] || y\n",
                                 "{ \"my tool\" : ; }\n",
                                 "{ \"my tool\" :; }\n",
                                 "{ \"a\" : && b; }\n",
                                 "{\n",
                                 "[\n",
                                 "{\nls\n}\n",
                                 "{ \"a\"\n",
                                 "{}\n",
                                 "[]\n",
                                 "{a,b}\n",
                                 "{\"a\",\"b\"}\n",
                                 "[1, 2]\n",
                                 "\"my tool\" x\n",
                                 "( \"a\" : )\n",
                                 "{ \"a; b\n",
                                 "ls\n{\"cmd\":[\"true\"]}\n",
                                 "{ \"a\" : | (cat) }\n",
                                 "echo '\n{\"cmd\":1}\n"}) {
    EXPECT_EQ(shape(text), JobsShape::kAsExpected) << text;
  }
}

TEST(JobsShape, JsonLinesAreLeftToTheirParser) {
  for (const std::string text :
       {"{\"cmd\":[\"true\"]}\n", "{\"cmd\":[\"true\"]\n{\"cmd\":[\"true\"]}\n",
        "{\"cmd\":[\"true\"],\n{\"cmd\":[\"true\"]}\n", "{\"cmd\":[\"true\"]", "{\"cmd\":[\"true\"],}\n",
        "ls\n", "[1]\n", "{}\n", "# no comment\n[{\"a\":1}]\n", "{\"a\n"}) {
    EXPECT_EQ(shape(text, kJson), JobsShape::kAsExpected) << text;
  }
}

TEST(JobsShape, MoreIsNeeded) {
  for (const std::string text : {"", "\n\n", "# a", "[", "[\n", "{", "{ \n ", "[{", "{\"cm", "{ \"cmd\"",
                                 "{ \"cmd\": \"unfinished; "}) {
    EXPECT_EQ(shape(text, kLines, false), JobsShape::kUndecided) << text;
    EXPECT_EQ(shape(text, kLines, true), JobsShape::kAsExpected) << text;
  }
  EXPECT_EQ(shape("{\"cmd\":[\"true\"],\n", kJson, false), JobsShape::kUndecided);
}

TEST(JobsShape, NamesThePlaceAndWhatToDo) {
  EXPECT_EQ(first_job_place("\xef\xbb\xbf\n# a\n  [{", kLines), 10U);
  EXPECT_EQ(first_job_place("\n# a\n", kLines), 5U);
  EXPECT_EQ(first_job_place("# a\n", kJson), 0U);
  EXPECT_NE(std::string(advice_for(JobsShape::kJsonLines, kLines)).find("--format jsonl"), std::string::npos);
  for (const JobsFormat format : {kLines, kJson}) {
    EXPECT_NE(std::string(advice_for(JobsShape::kJsonArray, format)).find("jq -c '.[]'"), std::string::npos);
    EXPECT_NE(std::string(advice_for(JobsShape::kIndentedObjects, format)).find("jq -c ."),
              std::string::npos);
  }
}

}  // namespace
}  // namespace workpool
