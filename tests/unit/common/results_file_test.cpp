// SPDX-License-Identifier: MIT
#include "common/formats/results_file.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <simdjson.h>

#include <cctype>
#include <cmath>
#include <string>
#include <vector>

#include "common/base/text.h"
#include "tests/support/owned_result.h"

namespace workpool {
namespace {

const Spec kSpec = spec_of_work(R"({"cmd":["true"]})");

OwnedResult command_line() {
  OwnedResult result;
  result.id = "logs";
  result.line = 2;
  result.attempt = 1;
  result.outcome.command.emplace();
  result.outcome.command->exit = 0;
  result.outcome.command->standard_output = "a\n";
  result.worker = "node7";
  result.queued = microseconds(1200);
  result.ran = microseconds(35100);
  result.finished_ms = 1'795'450'867'123;
  result.run = RunId{0x0123456789abcdef};
  result.spec = kSpec;
  return result;
}

OwnedResult handler_line(const std::string& value) {
  OwnedResult result = command_line();
  result.id.clear();
  result.repeat = 1;
  result.outcome = Outcome{};
  result.outcome.value = value;
  return result;
}

std::string printed(const OwnedResult& result) {
  std::string out;
  append_result_line(out, result);
  return out;
}

std::string without_newline(const OwnedResult& result) {
  std::string out = printed(result);
  EXPECT_EQ(out.back(), '\n');
  out.pop_back();
  return out;
}

// `body`: a line up to its crc.
std::string with_crc(std::string body) {
  append_crc(body, 0);
  body.pop_back();
  return body;
}

std::string without_crc(const std::string& line) {
  std::string_view body = line;
  EXPECT_TRUE(strip_crc(body));
  return std::string(body);
}

LineDamage damage_of(const std::string& line) {
  ReplayedLine read;
  return read_result_line(line, read);
}

// ---- the format ----

TEST(ResultLine, OfACommandIsAsInTheInterface) {
  EXPECT_EQ(without_crc(without_newline(command_line())),
            R"({"id":"logs","line":2,"status":"ok","attempt":1,"exit":0,"stdout":"a\n","stderr":"",)"
            R"("worker":"node7","queued_ms":1.2,"run_ms":35.1,"finished":"2026-11-23T16:21:07.123Z",)"
            R"("run":"0123456789abcdef","spec":"385bb00ad9936907bb3342b79c51cb85")");
}

TEST(ResultLine, OfAHandlerHasItsValueAndNoSpecBesideADefaultId) {
  EXPECT_EQ(without_crc(without_newline(handler_line(R"({"n":[1,"x"]})"))),
            R"({"id":"385bb00ad9936907bb3342b79c51cb85","line":2,"status":"ok","attempt":1,)"
            R"("value":{"n":[1,"x"]},"worker":"node7","queued_ms":1.2,"run_ms":35.1,)"
            R"("finished":"2026-11-23T16:21:07.123Z","run":"0123456789abcdef")");
  EXPECT_NE(printed(handler_line("")).find(R"("attempt":1,"value":null,"worker")"), std::string::npos);
}

TEST(ResultLine, OfAFailureNamesItsErrorBeforeWhatCameOut) {
  OwnedResult result = command_line();
  result.outcome.status = Status::kFailed;
  result.outcome.kind = ErrorKind::kSignal;
  result.outcome.message = "killed by \"signal\" 9";
  result.outcome.command->exit.reset();
  result.outcome.command->signal = 9;
  result.outcome.command->truncated = 70'000;
  EXPECT_NE(printed(result).find(R"("status":"failed","attempt":1,"error":{"kind":"signal",)"
                                 R"("message":"killed by \"signal\" 9"},"signal":9,"stdout":"a\n",)"
                                 R"("stderr":"","truncated":70000,"worker":"node7")"),
            std::string::npos);
}

TEST(ResultLine, OfABadLineTellsNothingThatOnlyARunCould) {
  OwnedResult result;
  result.id = "L3";
  result.line = 3;
  result.outcome.status = Status::kInvalid;
  result.outcome.kind = ErrorKind::kInvalid;
  result.outcome.message = "3:1: no JSON";
  result.run = RunId{1};
  EXPECT_EQ(without_crc(without_newline(result)),
            R"({"id":"L3","line":3,"status":"invalid","attempt":0,)"
            R"("error":{"kind":"invalid","message":"3:1: no JSON"},)"
            R"("finished":"1970-01-01T00:00:00.000Z","run":"0000000000000001")");
  result.spec = spec_of_work("[oops]");
  EXPECT_TRUE(without_crc(without_newline(result))
                  .ends_with(R"(,"run":"0000000000000001","digest":")" + default_id(result.spec, 1) + '"'))
      << "a spec would be that of a job";
}

TEST(ResultLine, OfACrashClaimsNoOutput) {
  OwnedResult result = handler_line("");
  result.outcome.status = Status::kQuarantined;
  result.outcome.kind = ErrorKind::kCrash;
  const std::string line = printed(result);
  EXPECT_EQ(line.find("stdout"), std::string::npos);
  EXPECT_NE(line.find("\"worker\":\"node7\""), std::string::npos);
}

TEST(ResultLine, AppendsToWhatIsThere) {
  std::string out = "before\n";
  append_result_line(out, command_line());
  EXPECT_EQ(out, "before\n" + printed(command_line()));
}

TEST(ResultLine, DurationsHaveAtMostThreeDecimals) {
  const std::vector<std::pair<std::int64_t, std::string>> cases = {
      {0, "0"}, {1, "0.001"}, {10, "0.01"}, {1200, "1.2"}, {35'000, "35"}, {1'234'567, "1234.567"},
      {-5, "0"}};
  for (const auto& [micros, text] : cases) {
    OwnedResult result = command_line();
    result.queued = Duration(micros);
    EXPECT_NE(printed(result).find("\"queued_ms\":" + text + ",\"run_ms\""), std::string::npos) << text;
  }
}

TEST(ResultLine, TimesAreThoseOfTheCalendar) {
  const std::vector<std::pair<std::int64_t, std::string>> cases = {
      {0, "1970-01-01T00:00:00.000Z"},
      {951'782'400'000, "2000-02-29T00:00:00.000Z"},
      {1'709'251'199'999, "2024-02-29T23:59:59.999Z"},
      {4'107'542'400'000, "2100-03-01T00:00:00.000Z"},
      {1'798'761'599'001, "2026-12-31T23:59:59.001Z"},
      {253'402'300'799'999, "9999-12-31T23:59:59.999Z"},
      {253'402'300'800'000, "9999-12-31T23:59:59.999Z"},
      {-1, "1970-01-01T00:00:00.000Z"}};
  for (const auto& [ms, text] : cases) {
    OwnedResult result = command_line();
    result.finished_ms = ms;
    EXPECT_NE(printed(result).find("\"finished\":\"" + text + "\""), std::string::npos) << text;
  }
}

TEST(ResultLine, OutputThatIsTextIsText) {
  OwnedResult result = command_line();
  result.outcome.command->standard_output = "1\n2\n3\n";
  result.outcome.command->standard_error = std::string(9, '\x01') + "\xc3\xa9";
  EXPECT_NE(printed(result).find("\"stdout\":\"1\\n2\\n3\\n\",\"stderr\":\"\\u0001"), std::string::npos)
      << printed(result);
}

TEST(ResultLine, OutputThatIsNotUtf8IsBase64) {
  OwnedResult result = command_line();
  result.outcome.command->standard_output = "\xff\xfe";
  result.outcome.command->standard_error = "line\n";
  EXPECT_NE(printed(result).find(R"("stdout_base64":"//4=","stderr":"line\n",)"), std::string::npos);
}

TEST(ResultLine, NameAndMessageThatAreNoTextAreShown) {
  OwnedResult result = command_line();
  result.worker = "a\xff";
  EXPECT_NE(printed(result).find(R"("worker":"a\\xff")"), std::string::npos);
  EXPECT_EQ(damage_of(without_newline(result)), LineDamage::kNone);
}

TEST(ResultLine, CrcIsThatOfZlib) {
  EXPECT_EQ(crc32(""), 0U);
  EXPECT_EQ(crc32("123456789"), 0xcbf43926U);  // the check value of CRC-32/ISO-HDLC
  EXPECT_EQ(crc32("The quick brown fox jumps over the lazy dog"), 0x414fa339U);  // zlib.crc32 in Python
  EXPECT_EQ(crc32(std::string(1000, '\0')), 0x060b1780U);
  // python3 -c 'import zlib; print("%08x" % zlib.crc32(b"""{"id":"a","line":1"""))'
  EXPECT_EQ(with_crc(R"({"id":"a","line":1)"), R"({"id":"a","line":1,"crc":"63a82fce"})");
}

// ---- reading ----

TEST(ReadResultLine, ReadsWhatIsPrinted) {
  ReplayedLine read;
  ASSERT_EQ(read_result_line(without_newline(command_line()), read), LineDamage::kNone);
  EXPECT_EQ(read.id, "logs");
  EXPECT_EQ(read.status, Status::kOk);
  EXPECT_EQ(read.spec, kSpec);
  EXPECT_EQ(read.run, RunId{0x0123456789abcdef});
}

TEST(ReadResultLine, MakesTheSpecFromADefaultId) {
  for (const std::uint64_t repeat : {1U, 2U, 10U, 1234U}) {
    OwnedResult result = handler_line("1");
    result.repeat = repeat;
    ReplayedLine read;
    ASSERT_EQ(read_result_line(without_newline(result), read), LineDamage::kNone) << repeat;
    EXPECT_EQ(read.spec, kSpec);
    EXPECT_EQ(read.id, default_id(kSpec, repeat));
  }
  for (const std::string tail : {"#", "#0", "#1", "#02", "#2x", "x", "#-2"}) {
    std::string body = without_crc(without_newline(handler_line("1")));
    body.insert(body.find("\",\"line\""), tail);
    EXPECT_EQ(damage_of(with_crc(body)), LineDamage::kFormat) << tail;
  }
}

TEST(ReadResultLine, ALineWithoutSpecAndWithAnIdOfItsOwnIsDamaged) {
  std::string body = without_crc(without_newline(command_line()));
  body.resize(body.find(",\"spec\""));
  EXPECT_EQ(damage_of(with_crc(body)), LineDamage::kFormat);
}

TEST(ReadResultLine, ABadLineIsReadWithTheDigestOfItsText) {
  OwnedResult result = command_line();
  result.spec = Spec{};
  result.outcome.status = Status::kInvalid;
  result.outcome.kind = ErrorKind::kInvalid;
  ReplayedLine read;
  read.spec = kSpec;
  ASSERT_EQ(read_result_line(without_newline(result), read), LineDamage::kNone);
  EXPECT_EQ(read.status, Status::kInvalid);
  EXPECT_EQ(read.spec, Spec{}) << "earlier versions wrote no digest";
  result.spec = kSpec;
  ASSERT_EQ(read_result_line(without_newline(result), read), LineDamage::kNone);
  EXPECT_EQ(read.spec, kSpec);
  std::string other = without_crc(without_newline(result));
  other.replace(other.find("\"digest\""), 8, "\"spec\"");
  EXPECT_EQ(damage_of(with_crc(other)), LineDamage::kFormat);
}

TEST(ReadResultLine, WhatLooksLikeATailInsideIsNone) {
  OwnedResult result = command_line();
  result.id = R"(x","crc":"00000000"})";
  result.outcome.command->standard_output =
      R"(,"run":"ffffffffffffffff","spec":"00000000000000000000000000000000")";
  ReplayedLine read;
  ASSERT_EQ(read_result_line(without_newline(result), read), LineDamage::kNone);
  EXPECT_EQ(read.id, result.id);
  EXPECT_EQ(read.spec, kSpec);
  EXPECT_EQ(read.run, RunId{0x0123456789abcdef});
}

TEST(ReadResultLine, TheCrcIsComparedByteForByte) {
  const std::string line = without_newline(command_line());
  EXPECT_EQ(damage_of(line + "x"), LineDamage::kCrc);
  EXPECT_EQ(damage_of("x" + line), LineDamage::kCrc);
  EXPECT_EQ(damage_of(""), LineDamage::kCrc);
  EXPECT_EQ(damage_of("{}"), LineDamage::kCrc);
  std::string upper = line;
  for (std::size_t i = line.size() - 10; i < line.size() - 2; ++i) {
    upper[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(upper[i])));
  }
  EXPECT_EQ(damage_of(upper), upper == line ? LineDamage::kNone : LineDamage::kCrc);
}

TEST(ReadResultLine, WhitespaceAroundTheObjectIsPassedOver) {
  const std::string line = without_newline(command_line());
  for (const std::string& text : {line + "\r", line + " \t\r", "  " + line, "\t" + line + "\r"})
    EXPECT_EQ(damage_of(text), LineDamage::kNone);
}

// `from` in a good line's body becomes `to`, under a crc that fits.
std::string changed(const std::string& from, const std::string& to) {
  std::string body = without_crc(without_newline(command_line()));
  const std::size_t at = body.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return with_crc(body.replace(at, from.size(), to));
}

TEST(ReadResultLine, WhatALaterVersionAddsIsPassedOver) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {",\"spec\"", ",\"nice\":[1],\"spec\""},
      {"{\"id\":\"logs\"", R"({"first":{"id":"other","spec":[1,{"x":"}"}]},"id":"logs")"},
      {"\"status\":\"ok\",", R"("nice":"a\"b,\"status\":\"failed","status":"ok",)"},
      {"\"line\":2,", "\"place\":[3,2],"},
      {"\"id\":", "\"id\": "},
      {"\"ok\"", "\"\\u006f\\u006b\""},
      {",\"run\":", " , \"run\" :"},
      {"\"attempt\":1,",
       "\"attempt\":1.5,\"null\":null,\"deep\":" + std::string(80, '[') + std::string(80, ']') + ","},
  };
  for (const auto& [from, to] : cases) {
    ReplayedLine read;
    ASSERT_EQ(read_result_line(changed(from, to), read), LineDamage::kNone) << to;
    EXPECT_EQ(read.id, "logs");
    EXPECT_EQ(read.status, Status::kOk);
    EXPECT_EQ(read.spec, kSpec);
    EXPECT_EQ(read.run, RunId{0x0123456789abcdef});
  }
  EXPECT_EQ(damage_of(with_crc(without_crc(without_newline(command_line())) + ",\"nice\":[1]")),
            LineDamage::kNone)
      << "the last one";
}

TEST(ReadResultLine, ALineThatDoesNotSayWhatAReplayNeedsIsDamagedWhateverItsCrc) {
  EXPECT_EQ(damage_of(changed("\"logs\"", "\"\"")), LineDamage::kFormat);
  EXPECT_EQ(damage_of(changed("\"logs\"", "7")), LineDamage::kFormat);
  EXPECT_EQ(damage_of(changed("\"logs\"", "\"\xff\"")), LineDamage::kNone) << "as older versions read it";
  EXPECT_EQ(damage_of(changed("\"logs\"", "\"a\",\"id\":\"b\"")), LineDamage::kFormat) << "two ids";
  EXPECT_EQ(damage_of(changed("\"id\":\"logs\",", "")), LineDamage::kFormat);
  EXPECT_EQ(damage_of(changed("\"ok\"", "\"fine\"")), LineDamage::kFormat);
  EXPECT_EQ(damage_of(changed("\"run\":\"0", "\"run\":\"G")), LineDamage::kFormat);
  EXPECT_EQ(damage_of(changed("\"run\":\"0", "\"run\":\"")), LineDamage::kFormat);
  EXPECT_EQ(damage_of(changed("\"spec\":\"3", "\"spec\":\"X")), LineDamage::kFormat);
  for (const std::string body : {"", "{", "{\"", "{\"id", "{\"id\"", "{\"id\":", "{\"id\":\"a\\", "[", "7",
                                 "{,", "{\"a\"1", "{\"a\":}", "{\"a\":1 2"})
    EXPECT_EQ(damage_of(with_crc(body)), LineDamage::kFormat) << body;
}

// ---- properties ----

std::string unbase64(std::string_view text) {
  const std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char letter : text) {
    const std::size_t value = alphabet.find(letter);
    if (value == std::string_view::npos) break;
    bits = bits << 6 | static_cast<unsigned>(value);
    count += 6;
    if (count >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 0xff);
  }
  return bytes;
}

std::string output_of(simdjson::dom::object line, const std::string& name) {
  std::string_view text;
  if (line[name].get(text) == simdjson::SUCCESS) return std::string(text);
  EXPECT_EQ(line[name + "_base64"].get(text), simdjson::SUCCESS);
  return unbase64(text);
}

rc::Gen<std::string> any_text() {  // UTF-8 with everything that has to be escaped
  const auto letter = rc::gen::elementOf(std::vector<std::string>{"a",
                                                                  "Z",
                                                                  "0",
                                                                  " ",
                                                                  "\"",
                                                                  "\\",
                                                                  "/",
                                                                  "\n",
                                                                  "\r",
                                                                  "\t",
                                                                  "\b",
                                                                  "\f",
                                                                  std::string(1, '\0'),
                                                                  "\x1f",
                                                                  "\x7f",
                                                                  "\xc3\xa9",
                                                                  "\xe2\x82\xac",
                                                                  "\xf0\x9f\x98\x80",
                                                                  "\xc2\x80",
                                                                  "\xe2\x80\xa8",
                                                                  "{",
                                                                  "}",
                                                                  ",\"crc\":\""});
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(letter), [](const auto& letters) {
    std::string text;
    for (const std::string& each : letters) text += each;
    return text;
  });
}

rc::Gen<std::string> any_bytes() {
  return rc::gen::oneOf(any_text(), rc::gen::container<std::string>(rc::gen::arbitrary<char>()));
}

OwnedResult any_result() {
  OwnedResult result = command_line();
  result.id = "x" + *any_text();
  result.line = *rc::gen::arbitrary<std::uint64_t>();
  result.attempt = *rc::gen::arbitrary<std::uint32_t>();
  result.worker = *any_text();
  result.queued = Duration(*rc::gen::inRange<std::int64_t>(0, 1'000'000'000'000));
  result.run = RunId{*rc::gen::arbitrary<std::uint64_t>()};
  result.spec = spec_of_work(result.id);
  Outcome& outcome = result.outcome;
  outcome.status = *rc::gen::element(Status::kOk, Status::kFailed, Status::kTimeout);
  if (outcome.status != Status::kOk) {
    outcome.kind = outcome.status == Status::kTimeout ? ErrorKind::kTimeout : ErrorKind::kExit;
  }
  outcome.message = *any_text();
  CommandEnd& end = outcome.command.emplace();
  if (*rc::gen::arbitrary<bool>()) end.exit = *rc::gen::arbitrary<std::int32_t>();
  end.standard_output = *any_bytes();
  end.standard_error = *any_bytes();
  end.truncated = *rc::gen::arbitrary<std::uint64_t>();
  return result;
}

RC_GTEST_PROP(ResultLineProperty, AnyOutcomeIsReadBackByAJsonParser, ()) {
  const OwnedResult result = any_result();
  const Outcome& outcome = result.outcome;
  const std::string line = without_newline(result);
  RC_ASSERT(line.find_first_of(std::string("\n\0", 2)) == std::string::npos);
  simdjson::dom::parser parser;
  simdjson::dom::object read;
  RC_ASSERT(parser.parse(line).get(read) == simdjson::SUCCESS);
  RC_ASSERT(std::string_view(read["id"]) == result.id);
  RC_ASSERT(std::uint64_t(read["line"]) == result.line);
  RC_ASSERT(std::uint64_t(read["attempt"]) == result.attempt);
  RC_ASSERT(std::string_view(read["status"]) == name_of(outcome.status));
  RC_ASSERT((read["error"].error() == simdjson::SUCCESS) == (outcome.status != Status::kOk));
  if (outcome.status != Status::kOk) {
    RC_ASSERT(std::string_view(read["error"]["kind"]) == name_of(outcome.kind));
    RC_ASSERT(std::string_view(read["error"]["message"]) == outcome.message);
  }
  const CommandEnd& end = *outcome.command;
  RC_ASSERT((read["exit"].error() == simdjson::SUCCESS) == end.exit.has_value());
  if (end.exit) RC_ASSERT(std::int64_t(read["exit"]) == *end.exit);
  RC_ASSERT(output_of(read, "stdout") == end.standard_output);
  RC_ASSERT(output_of(read, "stderr") == end.standard_error);
  RC_ASSERT((end.truncated > 0 ? std::uint64_t(read["truncated"]) : 0) == end.truncated);
  if (!result.worker.empty()) {
    RC_ASSERT(std::string_view(read["worker"]) == result.worker);
    RC_ASSERT(std::llround(double(read["queued_ms"]) * 1000) == result.queued.count());
  }
  RC_ASSERT(std::string_view(read["run"]) == hex64(result.run.value));
  RC_ASSERT(std::string_view(read["spec"]) == hex(result.spec));
}

RC_GTEST_PROP(ResultLineProperty, TheReaderSeesWhatThePrinterWasGiven, ()) {
  const OwnedResult result = any_result();
  ReplayedLine read;
  RC_ASSERT(read_result_line(without_newline(result), read) == LineDamage::kNone);
  RC_ASSERT(read.id == result.id);
  RC_ASSERT(read.status == result.outcome.status);
  RC_ASSERT(read.spec == result.spec);
  RC_ASSERT(read.run == result.run);
}

// However the members are ordered and whatever stands between them, the line says the same.
RC_GTEST_PROP(ResultLineProperty, AnyOrderAndUnknownMembersAreReadTheSame, ()) {
  const OwnedResult result = any_result();
  const auto text = [](const std::string& value) {
    std::string json;
    append_json_string(json, value);
    return json;
  };
  std::vector<std::string> members = {"\"id\":" + text(result.id),
                                      "\"line\":" + std::to_string(result.line),
                                      std::string("\"status\":\"") + name_of(result.outcome.status) + '"',
                                      "\"stdout\":" + text(*any_text()),
                                      "\"run\":\"" + hex64(result.run.value) + '"',
                                      "\"spec\":\"" + hex(result.spec) + '"'};
  for (int i = *rc::gen::inRange(0, 4); i > 0; --i)
    members.push_back("\"x" + std::to_string(i) + "\":{\"id\":" + text(*any_text()) +
                      ",\"a\":[1,null,\"]\"]}");
  for (std::size_t i = members.size() - 1; i > 0; --i)
    std::swap(members[i], members[*rc::gen::inRange<std::size_t>(0, i + 1)]);
  std::string body;
  for (const std::string& member : members) {
    body += body.empty() ? "{" : ",";
    if (*rc::gen::arbitrary<bool>()) body += ' ';
    body += member;
  }
  ReplayedLine read;
  RC_ASSERT(read_result_line(with_crc(body) + (*rc::gen::arbitrary<bool>() ? "\r" : ""), read) ==
            LineDamage::kNone);
  RC_ASSERT(read.id == result.id);
  RC_ASSERT(read.status == result.outcome.status);
  RC_ASSERT(read.spec == result.spec);
  RC_ASSERT(read.run == result.run);
}

RC_GTEST_PROP(ResultLineProperty, NoBytesEndTheReader, ()) {
  ReplayedLine read;
  read_result_line(*any_bytes(), read);
  read_result_line(with_crc(*any_bytes()), read);
  // A valid crc around a line that was changed: read or refused, never more.
  std::string body = without_crc(without_newline(any_result()));
  const auto at = *rc::gen::inRange<std::size_t>(0, body.size());
  body.replace(at, *rc::gen::inRange<std::size_t>(0, 20), *any_bytes());
  read_result_line(with_crc(body), read);
}

}  // namespace
}  // namespace workpool
