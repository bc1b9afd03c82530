// SPDX-License-Identifier: MIT
#include "common/formats/value_json.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "common/base/outcome.h"

namespace workpool {
namespace {

const std::vector<std::string> kGood = {"",
                                        "null",
                                        "true",
                                        "false",
                                        "0",
                                        "7",
                                        "123456789012345678",
                                        "18446744073709551615",
                                        "-1",
                                        "0.5e-3",
                                        "\"\"",
                                        "\"a\\n\xc3\xa9\"",
                                        " [1] ",
                                        "{\"a\":[{},[],null,\"x\"]}"};
const std::vector<std::string> kBad = {"NaN",
                                       "{oops",
                                       "1,\"status\":\"failed\",\"id\":\"zzz\"",
                                       "nul",
                                       "nullx",
                                       "01",
                                       "00",
                                       "-",
                                       "1 2",
                                       "\"",
                                       "\"\xff\"",
                                       "\"\\ud800\"",
                                       "[1\n]",
                                       "\"\n\"",
                                       "\"\x01\"",
                                       "[1,]",
                                       "{\"a\":1}}",
                                       std::string("[\0]", 3),
                                       "18446744073709551616",
                                       "1e999",
                                       " ",
                                       "'a'"};

TEST(ValueJson, GoodValuesHaveNoFaultAndHold) {
  ValueCheck check;
  for (const std::string& value : kGood) {
    EXPECT_EQ(value_fault(value), "") << value;
    EXPECT_TRUE(check.holds(value)) << value;
  }
}

TEST(ValueJson, WhatIsNotOneJsonTextOnOneLineIsRefused) {
  ValueCheck check;
  for (const std::string& value : kBad) {
    EXPECT_NE(value_fault(value), "") << value;
    EXPECT_FALSE(check.holds(value)) << value;
  }
  EXPECT_EQ(value_fault("NaN").substr(0, 40), "the value is not one JSON text, byte 1: ");
}

// Nobody has a file to save or a line to split: the value is what a program returned.
TEST(ValueJson, TheAdviceIsNotThatOfAJobsFile) {
  EXPECT_EQ(value_fault("\"\xff\""), "the value is not one JSON text, byte 2: not UTF-8");
  EXPECT_EQ(value_fault("1 2"), "the value is not one JSON text, byte 3: text after the end of the value");
  EXPECT_EQ(value_fault("[1"),
            "the value is not one JSON text, byte 3: it ends too early: expected `,` or `]`");
  for (const std::string& value : kBad) {
    const std::string fault = value_fault(value);
    EXPECT_EQ(fault.find(" file"), std::string::npos) << fault;
    EXPECT_EQ(fault.find("the line"), std::string::npos) << fault;
    EXPECT_EQ(fault.find("per line"), std::string::npos) << fault;
  }
}

TEST(ValueJson, TheLimitIsOne) {
  ValueCheck check;
  std::string value = '"' + std::string(kValueBytesMax - 2, 'v') + '"';
  EXPECT_TRUE(check.holds(value) && value_fault(value).empty());
  value.insert(1, "v");
  EXPECT_FALSE(check.holds(value));
  EXPECT_EQ(value_fault(value),
            "the value has 1048577 bytes, the limit is 1048576: larger things travel as files");
}

// The quick judge against the slow one, on texts that are nearly JSON.
RC_GTEST_PROP(ValueJsonProperty, BothJudgesAgree, ()) {
  const std::string text = *rc::gen::oneOf(rc::gen::elementOf(kGood), rc::gen::elementOf(kBad));
  std::string changed = text;
  const auto piece = rc::gen::element<std::string>("{", "}", "[", "]", ",", ":", "\"", "\\", "1", "0", "e",
                                                   "-", ".", " ", "null", "\xc3", "\n", "u00e9");
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i)
    changed.insert(*rc::gen::inRange<std::size_t>(0, changed.size() + 1), *piece);
  if (!changed.empty() && *rc::gen::arbitrary<bool>())
    changed.erase(*rc::gen::inRange<std::size_t>(0, changed.size()), 1);
  ValueCheck check;
  RC_ASSERT(check.holds(changed) == value_fault(changed).empty());
}

}  // namespace
}  // namespace workpool
