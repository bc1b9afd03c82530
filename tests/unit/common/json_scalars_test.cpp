// SPDX-License-Identifier: MIT
#include "common/formats/json_scalars.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool::dispatcher {
namespace {

TEST(JsonScalars, FlattensWhatStandsInside) {
  const auto values = json_scalars(
      R"( { "a" : {"b":1, "c" : { } }, "d":["x", {"e":[true,null]},[]], "f":-1.5e3 ,"":"empty"} )");
  ASSERT_TRUE(values);
  EXPECT_EQ(*values, (JsonScalars{{"a.b", "1"},
                                  {"d.0", "x"},
                                  {"d.1.e.0", "true"},
                                  {"d.1.e.1", "null"},
                                  {"f", "-1.5e3"},
                                  {"", "empty"}}));
}

TEST(JsonScalars, UnescapesNamesAndStrings) {
  const auto values = json_scalars(R"({"\u0041\n":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 é"})");
  ASSERT_TRUE(values);
  EXPECT_EQ(*values, (JsonScalars{{"A\n", "\"\\/\b\f\n\r\té😀 é"}}));
}

TEST(JsonScalars, RefusesWhatIsNotOneObject) {
  for (const std::string text :
       {"", " ", "[]", "\"a\"", "1", "{", "{}{}", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":01}",
        "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\n\"}", "{\"a\":1,\"a\":2}"}) {
    EXPECT_FALSE(json_scalars(text)) << text;
  }
  EXPECT_TRUE(json_scalars("{}"));
}

TEST(JsonScalars, IsBounded) {
  const auto nested = [](int levels) {
    std::string text = "{\"a\":";
    for (int i = 0; i < levels; ++i) text += '[';
    text += '1';
    for (int i = 0; i < levels; ++i) text += ']';
    return text + '}';
  };
  EXPECT_TRUE(json_scalars(nested(8)));
  EXPECT_FALSE(json_scalars(nested(9)));
  EXPECT_FALSE(json_scalars("{\"a\":\"" + std::string(4 << 20, 'x') + "\"}"));
}

}  // namespace
}  // namespace workpool::dispatcher
