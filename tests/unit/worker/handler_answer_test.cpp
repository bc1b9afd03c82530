// SPDX-License-Identifier: MIT
#include "worker/core/handler_answer.h"

#include <gtest/gtest.h>

#include <string>

#include "common/base/outcome.h"

namespace workpool::worker {
namespace {

std::string value_in(std::string_view line) {
  HandlerAnswerReader reader;
  const HandlerAnswer answer = reader.read(line);
  const auto* const value = std::get_if<AnswerValue>(&answer.says);
  return value == nullptr ? "no value" : std::string(value->value);
}

std::string error_in(std::string_view line) {
  HandlerAnswerReader reader;
  const HandlerAnswer answer = reader.read(line);
  const auto* const error = std::get_if<AnswerError>(&answer.says);
  return error == nullptr ? "no error" : error->message;
}

std::string fault_in(std::string_view line) {
  HandlerAnswerReader reader;
  const HandlerAnswer answer = reader.read(line);
  const auto* const fault = std::get_if<AnswerFault>(&answer.says);
  return fault == nullptr ? "no fault" : fault->message;
}

TEST(HandlerAnswer, ValuesKeepTheirText) {
  for (const char* const text :
       {"1", "-1.0e5", "null", "true", "\"\"", R"("\u00e9é")", "[]", R"({"a":[1,{"b":null}]})", "[1,  2]"})
    EXPECT_EQ(value_in(std::string(R"({"value":)") + text + "}"), text);
  EXPECT_EQ(value_in(R"(  { "value" : {"a" : 1} }  )"), R"({"a" : 1})");
  EXPECT_EQ(value_in(R"({"value":"}"})"), R"("}")");
  EXPECT_EQ(value_in(R"({"id":"7","value":1})"), "1");
}

TEST(HandlerAnswer, WhatIsNoNumberInJsonIsAnErrorOfTheJobAndNoFault) {
  for (const char* const word : {"NaN", "Infinity", "-Infinity", "nan", "-inf"}) {
    const std::string value = std::string("[1,{\"a\":") + word + "},\"NaN\"]";
    const std::string error = error_in("{\"value\":" + value + R"(,"id":"7"})");
    EXPECT_TRUE(error.starts_with(std::string("the value has ") + word + ",")) << error;
    EXPECT_EQ(HandlerAnswerReader().read("{\"value\":" + value + R"(,"id":"7"})").id, R"("7")");
  }
  EXPECT_NE(error_in(R"({"value":NaN})"), "no error");
  EXPECT_EQ(value_in(R"({"value":"NaN"})"), R"("NaN")");
  EXPECT_NE(fault_in(R"({"value":[NaN})"), "no fault");
  EXPECT_NE(fault_in(R"({"value":NaNs})"), "no fault");
  EXPECT_NE(fault_in(R"({"value":"NaN})"), "no fault");
  EXPECT_NE(fault_in(R"({"progress":NaN})"), "no fault");
  EXPECT_NE(fault_in(R"({"value":NaN,"value":1})"), "no fault");
}

TEST(HandlerAnswer, ErrorsAreUnescaped) {
  EXPECT_EQ(error_in(R"({"error":"no \"such\"\nfile ü"})"), "no \"such\"\nfile ü");
  EXPECT_EQ(error_in(R"({"error":""})"), "the handler's program says that it failed, and not why");
  EXPECT_EQ(error_in(R"({"error":"x","id":"a"})"), "x");
}

TEST(HandlerAnswer, HowFarItIs) {
  HandlerAnswerReader reader;
  const auto progress_in = [&](std::string_view line) {
    return std::get<AnswerProgress>(reader.read(line).says).progress;
  };
  EXPECT_EQ(progress_in(R"({"progress":0.4,"text":"half w\u00e4y"})"), (Progress{400, "half w\xc3\xa4y"}));
  EXPECT_EQ(progress_in(R"({"progress":1})"), (Progress{1000, ""}));
  EXPECT_EQ(progress_in(R"({"progress":-5e3})"), (Progress{0, ""}));
  EXPECT_EQ(progress_in(R"({"progress":17,"text":""})"), (Progress{1000, ""}));
}

TEST(HandlerAnswer, ProgressAndIds) {
  HandlerAnswerReader reader;
  EXPECT_TRUE(std::holds_alternative<AnswerProgress>(reader.read(R"({"progress":0.4,"text":"x"})").says));
  EXPECT_TRUE(std::holds_alternative<AnswerProgress>(reader.read(R"({"progress":1})").says));
  EXPECT_EQ(reader.read(R"({"value":1,"id":"a\"b"})").id, R"("a\"b")");
  EXPECT_EQ(reader.read(R"({"value":1})").id, "");
}

TEST(HandlerAnswer, WhatIsNoAnswer) {
  for (const char* const line :
       {"", " ", "x", "{}", "[]", "1", R"({"value":1)", R"({"value":1}})", R"({"value":1} {"value":2})",
        R"({"value":})", R"({value:1})", R"({"value":1,})", R"({"value" 1})"})
    EXPECT_NE(fault_in(line).find("no answer"), std::string::npos) << line;
  EXPECT_NE(fault_in(R"({"value":[1}})").find("not one JSON text"), std::string::npos);
  EXPECT_NE(fault_in(R"({"value":01})").find("not one JSON text"), std::string::npos);
  EXPECT_NE(fault_in("{\"value\":\"\xff\"}").find("not one JSON text"), std::string::npos);
  EXPECT_NE(fault_in("{\"value\":\"a\tb\"}").find("control bytes"), std::string::npos);
  EXPECT_NE(fault_in(R"({"value":")" + std::string(kValueBytesMax, 'x') + R"("})").find("the limit"),
            std::string::npos);
  EXPECT_NE(fault_in(R"({"valeu":1})").find(R"(unknown member "valeu")"), std::string::npos);
  EXPECT_NE(fault_in(R"({"value":1,"value":2})").find("twice"), std::string::npos);
  EXPECT_NE(fault_in(R"({"error":1})").find("is no string"), std::string::npos);
  EXPECT_NE(fault_in(R"({"id":1,"value":1})").find("is no string"), std::string::npos);
  EXPECT_NE(fault_in(R"({"progress":"0.4"})").find("is no number"), std::string::npos);
  EXPECT_NE(fault_in(R"({"value":1,"error":"x"})").find("one of"), std::string::npos);
  EXPECT_NE(fault_in(R"({"value":1,"progress":1})").find("one of"), std::string::npos);
  EXPECT_NE(fault_in(R"({"value":1,"text":"x"})").find("one of"), std::string::npos);
  EXPECT_NE(fault_in(R"({"id":"x"})").find("one of"), std::string::npos);
  EXPECT_LT(fault_in(std::string(100'000, 'x')).size(), 1000U);
}

}  // namespace
}  // namespace workpool::worker
