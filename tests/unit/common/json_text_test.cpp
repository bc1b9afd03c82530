// SPDX-License-Identifier: MIT
#include "common/formats/json_text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

#include "common/base/byte_spans.h"

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

// Byte by byte, as the rule reads.
std::size_t plain_string_end(std::string_view text, std::size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '"') return at + 1;
    if (text[at] == '\\') ++at;
  }
  return text.size();
}

TEST(JsonText, StringsEndWhereverTheirQuoteStands) {
  for (std::size_t size = 0; size < 40; ++size) {
    std::string text = "\"" + std::string(size, 'x');
    EXPECT_EQ(json_string_end(text, 0), text.size());
    for (std::size_t at = 1; at < text.size(); ++at) {
      for (const std::string_view stop : {"\"", "\\\"", "\\\\\"", "\\"}) {
        std::string changed = text;
        changed.insert(at, stop);
        EXPECT_EQ(json_string_end(changed, 0), plain_string_end(changed, 0)) << changed;
      }
    }
  }
  EXPECT_EQ(json_string_end("\"", 0), 1U);
  EXPECT_EQ(json_string_end("", 0), 0U);
}

TEST(ByteSpans, TheFirstOfSixteen) {
  const auto finds = [](SixteenBytes some) { return as_bytes(some == 'x'); };
  std::string bytes(16, '.');
  EXPECT_EQ(first_byte(bytes.data(), finds), 16U);
  for (std::size_t at = 16; at-- > 0;) {
    bytes[at] = 'x';  // and all after it
    EXPECT_EQ(first_byte(bytes.data(), finds), at);
  }
}

TEST(JsonText, MembersAreVisitedInOrder) {
  std::string seen;
  const auto note = [&seen](std::string_view key, std::string_view value) {
    seen.append(key).append("=").append(value).append(";");
    return key != "\"stop\"";
  };
  EXPECT_TRUE(visit_json_members(R"({"a":1 , "b" : {"c":"}"},"a":[2])", note));
  EXPECT_EQ(seen, R"("a"=1;"b"={"c":"}"};"a"=[2];)");
  seen.clear();
  EXPECT_FALSE(visit_json_members(R"({"stop":1,"b":2)", note));
  EXPECT_EQ(seen, R"("stop"=1;)");
  for (const char* no_object : {"", "{", "[1", "{\"a\"", "{\"a\":1,", "{\"a\":1 2", "{\"a\":1}", "{1:2"})
    EXPECT_FALSE(visit_json_members(no_object, note)) << no_object;
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
