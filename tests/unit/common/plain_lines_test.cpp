// SPDX-License-Identifier: MIT
#include "common/formats/plain_lines.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "common/formats/jobs_file.h"
#include "common/formats/json_text.h"

namespace workpool {
namespace {

bool is_plain(std::string_view line) { return PlainLines().read(line).has_value(); }

// What the general parser makes of the line; an empty work if it refuses it.
JobLine as_any(std::string_view line) {
  JobLineParser parser(JobsFormat::kJsonLines);
  const auto parsed = parser.parse_as_any(line);
  return std::holds_alternative<JobView>(parsed) ? std::get<JobView>(parsed).own() : JobLine{};
}

TEST(PlainLines, LinesAsProgramsWriteThem) {
  for (
      const std::string_view line : {
          R"({"type":"noop"})",
          R"({"type": "noop", "labels": ["b", "a", "b"], "slots": 3})",
          R"({"cmd":["sha256sum","a b.bin",""],"id":"x","priority":-2147483648,"timeout":30,"retries":4294967295})",
          R"({"cmd":"gzip -k *.log && ls","timeout":"1h30m"})",
          R"({"id":"a","type":"thumbnail","args":{"source":"a.jpg","width":[1,-2.5,0],"x":{"y":null}}, "labels":[]} )",
          "{\t\"type\" : \"x\" , \"args\" : { \"a\" : [ true , false , \"1  2\" ] } }",
          R"({"type":"x","args":"abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ"})",
      }) {
    PlainLines lines;
    const auto read = lines.read(line);
    ASSERT_TRUE(read) << line;
    EXPECT_EQ(read->own(), as_any(line)) << line;
  }
}

TEST(PlainLines, EveryOtherLineIsLeftToTheGeneralParser) {
  for (const std::string_view line : {
           "",
           "{}",
           "[]",
           " {\"type\":\"noop\"}",  // what a person writes
           R"({"type":"noop"}})",
           R"({"type":"noop",})",
           R"({"type":"noop")",
           R"({"type":"noop","type":"noop"})",
           R"({"type":"noop","cmd":"x"})",
           R"({"cmd":"x","type":"noop"})",
           R"({"args":1,"type":"x"})",  // the work has them in another order
           R"({"cmd":"x","args":1})",
           R"({"cmd":""})",
           R"({"cmd":[]})",
           R"({"cmd":["","x"]})",
           R"({"cmd":"x","env":{"A":"1"}})",
           R"({"cmd":"a\\b"})",
           "{\"cmd\":\"\xc3\xa9\"}",
           "{\"cmd\":\"a\tb\"}",
           R"({"type":"a b"})",
           R"({"type":""})",
           R"({"type":"x","id":""})",
           R"({"type":"x","slots":0})",
           R"({"type":"x","slots":4294967296})",
           R"({"type":"x","priority":2147483648})",
           R"({"type":"x","priority":1.0})",
           R"({"type":"x","priority":1e2})",
           R"({"type":"x","priority":01})",
           R"({"type":"x","retries":-1})",
           R"({"type":"x","timeout":1.5})",
           R"({"type":"x","timeout":315360001})",
           R"({"type":"x","timeout":"soon"})",
           R"({"type":"x","labels":[""]})",
           R"({"type":"x","labels":[1]})",
           R"({"type":"x","args":{"a":1,"a":2}})",
           R"({"type":"x","args":123456789012345678})",
           R"({"type":"x","args":1.})",
           R"({"type":"x","args":truth})",
           R"({"type":"x","args":[1 2]})",
           R"({"type":"x","prioritty":1})",
       }) {
    EXPECT_FALSE(is_plain(line)) << line;
  }
  EXPECT_FALSE(is_plain("{\"type\":\"x\",\"args\":" + std::string(20, '[') + std::string(20, ']') + "}"));
  EXPECT_FALSE(is_plain("{\"cmd\":\"" + std::string(70'000, 'x') + "\"}"));
  EXPECT_FALSE(is_plain("{\"cmd\":\"x\",\"id\":\"" + std::string(257, 'x') + "\"}"));
  EXPECT_FALSE(is_plain("{\"cmd\":\"x\",\"labels\":[\"" + std::string(65, 'x') + "\"]}"));
  std::string labels = "\"l\"";
  for (int i = 0; i < 32; ++i) labels += ",\"l\"";
  EXPECT_FALSE(is_plain("{\"cmd\":\"x\",\"labels\":[" + labels + "]}")) << "33, whatever they say";
}

TEST(PlainLines, OneReaderServesAnyLineAfterAnyOther) {
  PlainLines lines;
  EXPECT_TRUE(lines.read(R"({"type":"a","args":[1],"labels":["l"],"slots":2,"timeout":1})"));
  EXPECT_FALSE(lines.read(R"({"type":"a","args":[1)"));
  const auto read = lines.read(R"({"cmd":["b"]})");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->own(), as_any(R"({"cmd":["b"]})"));
}

// ---- both ways make the same of any line ----

std::string random_space() {
  return *rc::gen::weightedElement<std::string>({{8, ""}, {2, " "}, {1, "\t "}, {1, "\r"}});
}

std::string random_member() {
  return *rc::gen::element<std::string>(
      R"("type":"noop")", R"("type":"x.y")", R"("cmd":"a")", R"("cmd":["a" , "b"])", R"("args":1)",
      R"("args":{"a":[1,2 ,{"b":"c d"}],"e":-0.5})", R"("args":"\u0041")", R"("id":"i")", R"("id":"\"")",
      R"("priority":-7)", R"("priority":1.5)", R"("timeout":0)", R"("timeout":3)", R"("timeout":"5m")",
      R"("retries":2)", R"("labels":["b","a"])", R"("labels":["a","b","b"])", R"("labels":[])",
      R"("slots":2)", R"("slots":0)", R"("env":{"A":"1"})", R"("cwd":"/")", R"("stdin":"x")", R"("other":1)");
}

RC_GTEST_PROP(PlainLinesProperty, MakesOfALineWhatTheGeneralParserDoes, ()) {
  std::string line = "{";
  const int members = *rc::gen::inRange(1, 5);
  for (int i = 0; i < members; ++i)
    line += (i > 0 ? "," : "") + random_space() + random_member() + random_space();
  line += "}" + random_space();
  const int changes = *rc::gen::weightedElement<int>({{3, 0}, {1, 1}, {1, 2}});
  for (int i = 0; i < changes; ++i) {
    const auto at = *rc::gen::inRange<std::size_t>(0, line.size());
    line[at] = *rc::gen::element('"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', 'e', '.', ' ', '\xc3',
                                 '\x7f', '\x00');
  }
  PlainLines lines;
  const auto read = lines.read(line);
  RC_CLASSIFY(read.has_value());
  if (read) RC_ASSERT(read->own() == as_any(line));
}

// ---- works and values ----

// What the general parser makes of the work, as {type, args}; empty if it refuses it, or if it is a
// command's.
std::pair<std::string, std::string> work_as_any(std::string_view work) {
  WorkParser parser;
  const auto parsed = parser.parse_as_any(work);
  const auto* handler = std::get_if<HandlerWork>(&parsed);
  return handler == nullptr ? std::pair<std::string, std::string>{}
                            : std::pair(handler->type, std::string(handler->args));
}

TEST(PlainWorks, AreReadWithoutACopy) {
  const std::string_view work = R"({"type":"thumbnail","args":{"a":[1,"x y"],"b":-0.5}})";
  const auto read = PlainLines::read_work(work);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->type, "thumbnail");
  EXPECT_EQ(read->args, R"({"a":[1,"x y"],"b":-0.5})");
  EXPECT_EQ(read->args.data(), work.data() + work.find("{\"a\""));
  EXPECT_TRUE(PlainLines::read_work(R"({"type":"noop"})")->args.empty());
}

TEST(PlainWorks, EveryOtherWorkIsLeftToTheGeneralParser) {
  for (const std::string_view work :
       {"", "{}", R"({"cmd":["a"]})", R"({"type":"a b"})", R"({"type":""})", R"({"type":"x","args":})",
        R"({"type":"x","args":1)", R"({"type":"x","args":1}})", R"({"type":"x","args": 1})",
        R"({"type":"x","args":[1, 2]})", R"({"type":"x" })", R"({"type":"x","args":"\u0041"})",
        R"({"type":"x","args":{"a":1,"a":2}})", R"({"type":"x","args":1,"env":{}})",
        R"({"type":"x","id":"i"})"}) {
    EXPECT_FALSE(PlainLines::read_work(work)) << work;
  }
}

RC_GTEST_PROP(PlainWorksProperty, AreWhatTheGeneralParserMakesOfThem, ()) {
  std::string work = R"({"type":)" + *rc::gen::element<std::string>(R"("noop")", R"("x.y")", R"("a b")");
  if (*rc::gen::inRange(0, 4) > 0)
    work +=
        R"(,"args":)" + *rc::gen::element<std::string>("1", "null", R"([1,{"b":"c d"}])", R"({"a":1,"a":1})",
                                                       R"("\u0041")", "[1, 2]", "-0.50", "1e9", "00");
  work += "}";
  if (*rc::gen::inRange(0, 2) == 0) {
    work[*rc::gen::inRange<std::size_t>(0, work.size())] =
        *rc::gen::element('"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', 'e', '.', ' ', '\xc3', '\x00');
  }
  const auto read = PlainLines::read_work(work);
  RC_CLASSIFY(read.has_value());
  if (!read) return;
  const std::string args(read->args.empty() ? "null" : read->args);
  RC_ASSERT(work_as_any(work) == std::pair(std::string(read->type), args));
}

// Strings are searched eight bytes at a time, long ones then 64, and the last bytes one by one.
TEST(PlainValues, EveryByteCountsWhereverItStands) {
  constexpr std::size_t kLength = 300;
  for (int byte = 0; byte < 256; ++byte) {
    const bool is_plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
    std::string value = '"' + std::string(kLength, 'a') + '"';
    for (std::size_t at = 1; at <= kLength; ++at) {
      value[at] = static_cast<char>(byte);
      ASSERT_EQ(PlainLines::is_value(value), is_plain) << "byte " << byte << " at " << at;
      value[at] = 'a';
    }
  }
}

RC_GTEST_PROP(PlainValuesProperty, AreOneCompactJsonText, ()) {
  std::string value = *rc::gen::element<std::string>("1", "null", R"([1,{"b":"c d"}])", R"({"a":1,"b":[]})",
                                                     R"("\n")", "[1, 2]", "-0.50", "1e9", "\"a\tb\"", "true");
  if (*rc::gen::inRange(0, 2) == 0) {
    value[*rc::gen::inRange<std::size_t>(0, value.size())] =
        *rc::gen::element('"', '\\', '{', '}', '[', ']', ',', ':', '0', '-', ' ', '\n', '\x01', '\xc3');
  }
  const bool plain = PlainLines::is_value(value);
  RC_CLASSIFY(plain);
  if (!plain) return;
  RC_ASSERT(!find_json_fault(value));
  RC_ASSERT(std::none_of(value.begin(), value.end(), [](char byte) { return byte >= 0 && byte < 0x20; }));
}

}  // namespace
}  // namespace workpool
