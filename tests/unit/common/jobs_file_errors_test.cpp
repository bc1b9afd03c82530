// SPDX-License-Identifier: MIT
// The table "Bad input" of docs/reference.md, row by row; the column is part of every row.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>
#include <vector>

#include "common/formats/jobs_file.h"
#include "tests/unit/common/jobs_lines.h"

namespace workpool {
namespace {

struct Row {
  const char* line;
  std::uint64_t column;
  const char* says;  // a part of the message
};

void expect_rows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    const LineError error = bad(row.line);
    EXPECT_EQ(error.column, row.column) << row.line << "\n" << error.message;
    EXPECT_NE(error.message.find(row.says), std::string::npos) << row.line << "\n" << error.message;
  }
}

// What simdjson refuses the validator has to refuse as well: it judges alone what a handler returns.
RC_GTEST_PROP(JobsFileErrors, EveryRefusedLineHasItsFaultNamed, ()) {
  std::string line = R"({"type":"x","args":)";
  for (const char* token : *rc::gen::container<std::vector<const char*>>(
           rc::gen::element<const char*>("{", "}", "[", "]", ",", ":", "\"a\"", "\"b\"", "1", "-", "0",
                                         "true", "null", "t", "\"", "\\", ".5", "e", " ", "\\u00", "\xc3"))) {
    line += token;
  }
  line += '}';
  JobLineParser parser(JobsFormat::kJsonLines);
  const auto parsed = parser.parse(line);
  const auto* error = std::get_if<LineError>(&parsed);
  if (error != nullptr) RC_ASSERT(error->message != "not valid JSON");
}

TEST(JobsFileErrors, BadJson) {
  expect_rows({
      {R"({"cmd":"a",})", 11, "trailing comma"},
      {R"({"cmd":["a",]})", 12, "trailing comma"},
      {R"({"cmd":})", 8, "expected a value"},
      {R"({"type":"x","args":[:]})", 21, "expected a value"},
      {R"({"cmd":["a",,"b"]})", 13, "comma without a value"},
      {R"({"type":"x","args":[1,,2]})", 23, "comma without a value"},
      {R"({,"cmd":"a"})", 2, "comma without a member"},
      {R"({"cmd":"a","timeout":01})", 22, "leading zero"},
      {R"({"type":"x","args":-01})", 20, "leading zero"},
      {R"({"cmd":"a","timeout":NaN})", 22, "not a finite number"},
      {R"({"cmd":"a","timeout":-Infinity})", 22, "not a finite number"},
      {R"({"cmd":"a","timeout":1.})", 22, "digits after its point"},
      {R"({"cmd":"a","timeout":1e})", 22, "exponent"},
      {R"({"cmd":"a","timeout":-})", 22, "minus sign"},
      {R"({"cmd":"a","timeout":+1})", 22, "unexpected `+`"},
      {R"({"cmd":"a","timeout":.5})", 22, "unexpected `.`"},
      {R"({"cmd":"a","timeout":1x})", 23, "unexpected `x`"},
      {R"({"cmd":tru})", 8, "double quotes"},
      {R"({"cmd":echo})", 8, "double quotes"},
      {R"({'cmd':"a"})", 2, "single quotes"},
      {R"({cmd:"a"})", 2, "a key in double quotes"},
      {R"({"cmd" "a"})", 8, "expected `:`"},
      {R"({"cmd":"a" "id":"b"})", 12, "expected `,` or `}`"},
      {R"({"cmd":["a" "b"]})", 13, "expected `,` or `]`"},
      {R"({"cmd":"a"]})", 11, "expected `,` or `}`"},
      {R"({"cmd":"a")", 11, "ends too early"},
      {R"({"cmd":)", 8, "ends too early"},
      {R"({"cmd":"a)", 8, "without its closing quote"},
      {R"({"cmd":"a\)", 10, "without its closing quote"},
      {R"({"cmd":"a"} {"cmd":"b"})", 13, "one object per line"},
      {R"({"cmd":"a"}x)", 12, "one object per line"},
      {R"({"cmd":"\q"})", 9, "not a JSON escape"},
      {R"({"cmd":"a\x41"})", 10, "not a JSON escape"},
      {R"({"cmd":"\u12g4"})", 9, "four hex digits"},
      {"{\"cmd\":\"a\tb\"}", 10, "control character"},
      {"{\"cmd\":\"a\x01\"}", 10, "control character"},
      {"{\"cmd\":\x01}", 8, "unexpected `\\x01`"},
      {"\xef\xbb\xbf{\"cmd\":\"a\"}", 1, "unexpected"},
  });
}

TEST(JobsFileErrors, LettersThatAreNone) {
  expect_rows({
      {R"({"cmd":"\ud800"})", 9, "lone surrogate"},
      {R"({"cmd":"a\udc00"})", 10, "lone surrogate"},
      {R"({"cmd":"\ud800\u0041"})", 9, "lone surrogate"},
      {R"({"cmd":"\ud83d\ue000"})", 9, "lone surrogate"},
      {R"({"cmd":"a","id":"\ud83d"})", 18, "lone surrogate"},
      {"{\"cmd\":\"a\xff\"}", 10, "UTF-8"},
      {"{\"cmd\":\"\xed\xa0\x80\"}", 9, "UTF-8"},
      {"{\"c\xc3(\":1}", 4, "UTF-8"},
  });
  EXPECT_EQ(good(R"({"cmd":"\ud83d\ude00"})").work, R"({"cmd":"\ud83d\ude00"})");
}

TEST(JobsFileErrors, NumbersThatNothingHolds) {
  expect_rows({
      {R"({"type":"x","args":18446744073709551616})", 20, "64 bits"},
      {R"({"type":"x","args":[1,-9223372036854775809]})", 23, "64 bits"},
      {R"({"type":"x","args":{"a":1e400}})", 25, "not a finite number"},
      {R"({"cmd":"a","priority":123456789012345678901})", 23, "64 bits"},
  });
  good(R"({"type":"x","args":[18446744073709551615,-9223372036854775808,1e-400,123456789012345678901.0]})");
}

TEST(JobsFileErrors, NotAJob) {
  expect_rows({
      {"{}", 1, "neither \"cmd\" nor \"type\""},
      {R"(  {"id":"x"})", 3, "neither"},
      {R"([{"cmd":"a"}])", 1, "one JSON object per line"},
      {R"("ls")", 1, "one JSON object per line"},
      {" 1", 2, "one JSON object per line"},
      {R"({"cmd":"a","type":"b"})", 12, "both"},
      {R"({"type":"b","cmd":"a"})", 13, "both"},
      {R"({"cmd":"a","args":[1]})", 12, "belongs to \"type\""},
      {R"({"type":"x","env":{}})", 13, "belongs to \"cmd\""},
      {R"({"type":"x","cwd":"/"})", 13, "belongs to \"cmd\""},
      {R"({"stdin":"","type":"x"})", 2, "belongs to \"cmd\""},
  });
}

TEST(JobsFileErrors, Keys) {
  expect_rows({
      {R"({"cmd":"a", "prioriti":1})", 13, "did you mean \"priority\"?"},
      {R"({"comd":"a"})", 2, "did you mean \"cmd\"?"},
      {R"({"cmd":"a","evn":{}})", 12, "did you mean \"env\"?"},
      {R"({"cmd":"a","colour":1})", 12, "the keys are cmd, type"},
      {R"({"cmd":"a","":1})", 12, "unknown key"},
      {R"({"cmd":"a","cmd":"b"})", 12, "occurs twice"},
      {R"({"cmd":"a","c\u006dd":"b"})", 12, "occurs twice"},
      {R"({"cmd":"a","env":{"A":"1","B":"2","A":"3"}})", 35, "occurs twice"},
      {R"({"type":"x","args":[{"a":{"b":1,"c":2,"b":3}}]})", 39, "occurs twice"},
      {R"({"type":"x","args":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"a":1}})", 75,
       "occurs twice"},
  });
}

TEST(JobsFileErrors, Cmd) {
  expect_rows({
      {R"({"cmd":1})", 8, "array of strings"},
      {R"({"cmd":null})", 8, "array of strings"},
      {R"({"cmd":{"a":1}})", 8, "array of strings"},
      {R"({"cmd":""})", 8, "empty command"},
      {R"({"cmd":[]})", 8, "empty array"},
      {R"({"cmd":["",  "a"]})", 9, "program's name"},
      {R"({"cmd":["a", 1]})", 14, "must be a string"},
      {R"({"cmd":["a",["b,]"], null]})", 13, "must be a string"},
      {R"({"cmd":"a\u0000b"})", 8, "NUL"},
      {R"({"cmd":["a", "b\u0000"]})", 14, "NUL"},
  });
}

TEST(JobsFileErrors, TheOtherMembersOfWork) {
  expect_rows({
      {R"({"type":1})", 9, "must be a string"},
      {R"({"type":""})", 9, "1 to 64"},
      {R"({"type":"a b"})", 9, "1 to 64"},
      {R"({"type":"a/b"})", 9, "1 to 64"},
      {R"({"cmd":"a","env":[]})", 18, "object of strings"},
      {R"({"cmd":"a","env":{"A": 1}})", 24, "must be a string"},
      {R"({"cmd":"a","env":{"B":"", "A":null}})", 31, "must be a string"},
      {R"({"cmd":"a","env":{"":"x"}})", 19, "must not be empty"},
      {R"({"cmd":"a","env":{"A":"x", "A=B":"x"}})", 28, "must not hold `=`"},
      {R"({"cmd":"a","env":{"A\u0000":"x"}})", 19, "NUL"},
      {R"({"cmd":"a","env":{"A":"\u0000"}})", 23, "NUL"},
      {R"({"cmd":"a","cwd":1})", 18, "\"cwd\""},
      {R"({"cmd":"a","cwd":""})", 18, "\"cwd\""},
      {R"({"cmd":"a","cwd":"/\u0000"})", 18, "NUL"},
      {R"({"cmd":"a","stdin":["x"]})", 20, "\"stdin\""},
  });
}

TEST(JobsFileErrors, IdPriorityTimeoutRetriesLabelsSlots) {
  expect_rows({
      {R"({"cmd":"a","id":7})", 17, "\"id\" must be a string"},
      {R"({"cmd":"a","id":""})", 17, "1 to 256 bytes"},
      {R"({"cmd":"a","id":"\u0000"})", 17, "NUL"},
      {R"({"cmd":"a","priority":2147483648})", 23, "from -2147483648 to 2147483647"},
      {R"({"cmd":"a","priority":-2147483649})", 23, "integer"},
      {R"({"cmd":"a","priority":1.0})", 23, "integer"},
      {R"({"cmd":"a","priority":"1"})", 23, "integer"},
      {R"({"cmd":"a","timeout":-1})", 22, "\"timeout\""},
      {R"({"cmd":"a","timeout":-0.5})", 22, "\"timeout\""},
      {R"({"cmd":"a","timeout":1e30})", 22, "10 years"},
      {R"({"cmd":"a","timeout":315360001})", 22, "10 years"},
      {R"({"cmd":"a","timeout":"5 minutes"})", 22, "1h30m"},
      {R"({"cmd":"a","timeout":"inf"})", 22, "1h30m"},
      {R"({"cmd":"a","timeout":true})", 22, "\"timeout\""},
      {R"({"cmd":"a","timeout":null})", 22, "\"timeout\""},
      {R"({"cmd":"a","retries":-1})", 22, "from 0 to 4294967295"},
      {R"({"cmd":"a","retries":4294967296})", 22, "integer"},
      {R"({"cmd":"a","retries":18446744073709551615})", 22, "integer"},
      {R"({"cmd":"a","labels":"gpu"})", 21, "array of strings"},
      {R"({"cmd":"a","labels":["a", ""]})", 27, "1 to 64 bytes"},
      {R"({"cmd":"a","labels":["a", 1]})", 27, "must be a string"},
      {R"({"cmd":"a","labels":["a\u0000"]})", 22, "NUL"},
      {R"({"cmd":"a","slots":0})", 20, "from 1 to"},
      {R"({"cmd":"a","slots":-1})", 20, "from 1 to"},
      {R"({"cmd":"a","slots":1.5})", 20, "from 1 to"},
  });
}

TEST(JobsFileErrors, Sizes) {
  const std::string at_limit(kArgumentBytesMax, 'x');
  const std::string over = at_limit + 'x';
  good(R"({"cmd":")" + at_limit + R"("})");
  good(R"({"cmd":["a",")" + at_limit + R"("]})");
  good(R"({"cmd":"a","env":{"A":")" + at_limit.substr(2) + R"("}})");
  good(R"({"cmd":"a","stdin":")" + over + R"("})");
  EXPECT_EQ(bad(R"({"cmd":")" + over + R"("})").column, 8U);
  EXPECT_EQ(bad(R"({"cmd":["a",")" + over + R"("]})").column, 13U);
  EXPECT_EQ(bad(R"({"cmd":"a","env":{"B":"","A":")" + at_limit.substr(1) + R"("}})").column, 26U);

  good(R"({"cmd":"a","id":")" + std::string(256, 'i') + R"("})");
  EXPECT_EQ(bad(R"({"cmd":"a","id":")" + std::string(257, 'i') + R"("})").column, 17U);
  good(R"({"type":")" + std::string(64, 't') + R"("})");
  EXPECT_EQ(bad(R"({"type":")" + std::string(65, 't') + R"("})").column, 9U);
  good(R"({"cmd":"a","labels":[")" + std::string(64, 'l') + R"("]})");
  EXPECT_EQ(bad(R"({"cmd":"a","labels":[")" + std::string(65, 'l') + R"("]})").column, 22U);

  std::string labels = R"("l0")";
  for (int i = 1; i < 32; ++i) labels += ",\"l" + std::to_string(i) + '"';
  EXPECT_EQ(good(R"({"cmd":"a","labels":[)" + labels + "]}").requirement.labels.size(), 32U);
  EXPECT_EQ(bad(R"({"cmd":"a","labels":[)" + labels + R"(,"l0"]})").column, 21 + labels.size() + 2);
}

TEST(JobsFileErrors, LongLines) {
  const std::string head = R"({"type":"x","args":")";
  std::string line = head + std::string(kLineBytesMax - head.size() - 2, 'x') + "\"}";
  ASSERT_EQ(line.size(), kLineBytesMax);
  good(line);
  const LineError error = bad(line + ' ');
  EXPECT_EQ(error.column, kLineBytesMax + 1);
  EXPECT_NE(error.message.find("1 MiB"), std::string::npos);
  EXPECT_EQ(bad(std::string(kLineBytesMax + 1, ' '), JobsFormat::kLines).column, kLineBytesMax + 1);
}

TEST(JobsFileErrors, Depth) {
  const auto nested = [](std::size_t depth, const std::string& inner) {
    return R"({"type":"x","args":)" + std::string(depth - 1, '[') + inner + std::string(depth - 1, ']') + "}";
  };
  for (const char* inner : {"1", "[]", "{}", R"([{"a":{}}])"}) {
    const std::size_t levels = inner[0] == '1' ? 0 : inner[1] != '{' ? 1 : 3;
    good(nested(64 - levels, inner));
    EXPECT_EQ(bad(nested(65 - levels, inner)).column, 20 + 63U + (levels == 3 ? 4 : 0)) << inner;
  }
  EXPECT_EQ(bad(R"({"type":"x","args":)" + std::string(100'000, '[')).column, 20 + 63U);
}

TEST(JobsFileErrors, ShellLines) {
  const auto lines = JobsFormat::kLines;
  EXPECT_EQ(bad("ls \xff", lines).column, 4U);
  EXPECT_EQ(bad(std::string_view("ls\0", 3), lines).column, 3U);
  good(std::string(kArgumentBytesMax, 'x'), lines);
  EXPECT_EQ(bad(std::string(kArgumentBytesMax + 1, 'x'), lines).column, 1U);
}

TEST(JobsFileErrors, BytesShellsAndNotes) {
  expect_rows({
      {R"({"cmd":["x",{"base64":"Zg"}]})", 13, "not base64"},
      {R"({"cmd":["x",{"base64":"AA=="}]})", 13, "NUL"},
      {R"({"cmd":["x",{"base65":"Zg=="}]})", 13, "must be a string"},
      {R"({"cmd":["x",{"base64":"Zg==","a":1}]})", 13, "must be a string"},
      {R"({"cmd":{"base64":""}})", 8, "empty command"},
      {R"({"cmd":[{"base64":""}]})", 9, "name in \"cmd\" is empty"},
      {R"({"cmd":"x","cwd":{"base64":""}})", 18, "\"cwd\""},
      {R"({"cmd":"x","stdin":1})", 20, "\"stdin\""},
      {R"({"cmd":["x"],"shell":"bash"})", 14, "that is a string"},
      {R"({"cmd":"x","shell":""})", 20, "\"shell\""},
      {R"({"type":"noop","shell":"bash"})", 16, "belongs to \"cmd\""},
      {R"({"type":"noop","ok_exit":[0]})", 16, "belongs to \"cmd\""},
      {R"({"cmd":"x","ok_exit":[]})", 22, "\"ok_exit\""},
      {R"({"cmd":"x","ok_exit":1})", 22, "\"ok_exit\""},
      {R"({"cmd":"x","ok_exit":[0,256]})", 25, "\"ok_exit\""},
      {R"({"cmd":"x","each":[]})", 19, "\"each\""},
      {R"({"cmd":"x","each":{"1":"a","2":1}})", 32, "\"each\""},
      {R"({"cmd":"x","each":{"1":"a","1":"b"}})", 28, "twice"},
      {R"({"cmd":"x","meta":{"a":1,"a":2}})", 26, "twice"},
  });
  const std::string long_text(kMetaBytesMax - 1, 'x');
  EXPECT_EQ(bad(R"({"cmd":"x","meta":")" + long_text + "\"}").column, 19U);
  good(R"({"cmd":"x","meta":")" + long_text.substr(1) + "\"}");
}

TEST(JobsFileErrors, MessagesShowNoControlCharacters) {
  const LineError error = bad("{\"cmd\":\"a\",\"\\u001b[31m\":1}");
  EXPECT_EQ(error.column, 12U);
  EXPECT_NE(error.message.find("\\x1b[31m"), std::string::npos) << error.message;
}

}  // namespace
}  // namespace workpool
