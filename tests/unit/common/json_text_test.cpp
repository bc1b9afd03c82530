// SPDX-License-Identifier: MIT
#include "common/formats/json_text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace workpool {
namespace {

std::string compact(std::string_view text) {
  std::string out;
  EXPECT_EQ(append_compact_json(out, text, skip_json_space(text, 0)), text.size());
  return out;
}

TEST(JsonText, CompactRemovesWhitespaceOutsideStringsAndNothingElse) {
  EXPECT_EQ(compact("{ \"a\" : [ 1 , 1E5 ,\t\"x  y\" ] }"), R"({"a":[1,1E5,"x  y"]})");
  EXPECT_EQ(compact(R"( "a \" b\\")"), R"("a \" b\\")");
  EXPECT_EQ(compact("[ ]"), "[]");
  EXPECT_EQ(compact("-0.0"), "-0.0");
}

TEST(JsonText, ValuesEndWhereTheyEnd) {
  const std::string text = R"({"a":1 ,"b":"x]}","c":[{},"]"],"d":true})";
  EXPECT_EQ(json_value_end(text, 5), 6U);
  EXPECT_EQ(json_value_end(text, 0), text.size());
  EXPECT_EQ(json_value_end(text, text.find('[')), text.find(",\"d\""));
  EXPECT_EQ(json_value_end(text, text.find("true")), text.size() - 1);
}

TEST(JsonText, PlacesOfElements) {
  const std::string list = R"([ "a,b" , [1,2] ,{"x":1}, 4])";
  EXPECT_EQ(json_element_place(list, 0, 0), 2U);
  EXPECT_EQ(json_element_place(list, 0, 1), list.find("[1"));
  EXPECT_EQ(json_element_place(list, 0, 2), list.find('{'));
  EXPECT_EQ(json_element_place(list, 0, 3), list.find('4'));
  const std::string object = R"({ "a" : {"b":1} , "c":2})";
  EXPECT_EQ(json_element_place(object, 0, 1), object.find("\"c\""));
  EXPECT_EQ(json_member_value(object, 2), object.find("{\"b\""));
}

TEST(JsonText, DepthIsCountedFromTheOutermost) {
  const auto nested = [](int depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_FALSE(find_json_fault(nested(kJsonDepthMax)));
  const auto fault = find_json_fault(nested(kJsonDepthMax + 1));
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->offset, static_cast<std::size_t>(kJsonDepthMax));
}

TEST(JsonText, ADuplicateKeyIsFoundBehindItsEscapes) {
  const auto fault = find_json_fault(R"({"a":{"bc":1,"b\u0063":2}})");
  ASSERT_TRUE(fault);
  EXPECT_EQ(fault->offset, 13U);
}

}  // namespace
}  // namespace workpool
