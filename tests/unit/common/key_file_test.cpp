// SPDX-License-Identifier: MIT
#include "common/formats/key_file.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/formats/timestamp.h"

namespace workpool {
namespace {

KeyBytes all(std::uint8_t byte) {
  KeyBytes bytes;
  bytes.fill(byte);
  return bytes;
}

WorkerKey worker(std::string name, std::uint8_t byte) { return {std::move(name), PublicKey{all(byte)}}; }

constexpr std::int64_t kEndOf2026 = 1'798'761'599;

KeyFile pool() {
  KeyFile file{SecretKey(all(1)), {}, kEndOf2026};
  file.workers.push_back(worker("node7", 2));
  file.workers.push_back(worker("Grüße \"8\"", 3));
  file.workers.back().expires = 0;
  return file;
}

// Without an expiry, and with a worker whose secret is kept.
KeyFile file_of_a_run() {
  KeyFile file{SecretKey(all(1))};
  SecretKey secret(all(9));
  const PublicKey key = secret.public_key();
  file.workers.push_back({"any", key, std::move(secret)});
  return file;
}

std::string problem_of(std::string_view text) {
  const auto parsed = parse_key_file(text);
  const auto* fault = std::get_if<KeyFileFault>(&parsed);
  return fault == nullptr ? "" : std::to_string(fault->line) + ": " + fault->problem;
}

void expect_same(const KeyFile& read, const KeyFile& written) {
  EXPECT_EQ(read.dispatcher, written.dispatcher);
  EXPECT_EQ(read.expires, written.expires);
  ASSERT_EQ(read.workers.size(), written.workers.size());
  for (std::size_t i = 0; i < read.workers.size(); ++i) {
    EXPECT_EQ(read.workers[i].name, written.workers[i].name);
    EXPECT_EQ(read.workers[i].key, written.workers[i].key);
    EXPECT_EQ(read.workers[i].expires, written.workers[i].expires);
    EXPECT_EQ(read.workers[i].secret, written.workers[i].secret);
  }
}

const std::string kFirst = R"({"v":1,"dispatcher":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE"})"
                           "\n";
const std::string kKey2 = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI";
const std::string kNode7 = R"({"worker":"node7","public":")" + kKey2 + "\"}\n";

TEST(KeyFile, IsALineForEachKey) {
  EXPECT_EQ(
      key_file_text(pool()),
      R"({"v":1,"dispatcher":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE","expires":"2026-12-31T23:59:59Z"})"
      "\n"
      R"({"worker":"node7","public":"AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI"})"
      "\n"
      R"({"worker":"Grüße \"8\"","public":"AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM","expires":"1970-01-01T00:00:00Z"})"
      "\n");
  EXPECT_EQ(key_file_text(file_of_a_run()),
            kFirst + R"({"worker":"any","secret":"CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk"})" + "\n");
}

TEST(KeyFile, ReadsBack) {
  for (const bool of_a_run : {false, true}) {
    const KeyFile written = of_a_run ? file_of_a_run() : pool();
    const auto read = parse_key_file(key_file_text(written));
    ASSERT_TRUE(std::holds_alternative<KeyFile>(read)) << std::get<KeyFileFault>(read).problem;
    expect_same(std::get<KeyFile>(read), written);
  }
  EXPECT_EQ(find_worker_key(pool(), "node8"), nullptr);
  const KeyFile file = pool();
  EXPECT_EQ(find_worker_key(file, "node7"), &file.workers[0]);
}

TEST(KeyFile, ALineThatIsNoKeyIsRefusedWithItsNumber) {
  const std::string second = kFirst + R"({"worker":"a","public":")" + kKey2 + "\"";
  const std::pair<std::string, std::string> cases[] = {
      {"", "0: is empty"},
      {std::string(kKeyFileBytesMax + 1, '\n'), "0: is longer than 4 MiB"},
      {"\n", "1: is no JSON object"},
      {"[]\n", "1: is no JSON object"},
      {"{}\n", "1: is not that of a dispatcher's key: this is no key file"},
      {kNode7, "1: is not that of a dispatcher's key: this is no key file"},
      {"{\"v\":1}\n", "1: lacks the dispatcher's key"},
      {R"({"v":2,"dispatcher":""})"
       "\n",
       "1: is of another version of workpool: its `v` is not 1"},
      {R"({"v":1,"dispatcher":"AQ"})"
       "\n",
       "1: has a key that is none: one has 43 letters"},
      {R"({"v":1,"dispatcher":"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQF"})"
       "\n",
       "1: has a key that is none: one has 43 letters"},
      {kFirst.substr(0, kFirst.size() - 1), "1: is cut short: every line ends with a newline"},
      {kFirst + kNode7.substr(0, 20), "2: is cut short: every line ends with a newline"},
      {kFirst + "\n", "2: is no JSON object"},
      {kFirst + kFirst, "2: is of a second dispatcher: a key file has one"},
      {second + ",\"role\":\"reader\"}\n",
       "2: has a member that this version of workpool does not know: a newer one has written it"},
      {second + ",\"expires\":\"2026-02-30T00:00:00Z\"}\n",
       "2: has an `expires` that is no time such as 2026-12-31T23:59:59Z"},
      {second + ",\"expires\":5}\n", "2: has an `expires` that is no time such as 2026-12-31T23:59:59Z"},
      {second + ",\"secret\":\"x\"}\n", "2: has not exactly one of `public` and `secret`"},
      {kFirst + "{\"worker\":\"a\"}\n", "2: has not exactly one of `public` and `secret`"},
      {kFirst + R"({"public":")" + kKey2 + "\"}\n", "2: lacks the worker's name"},
      {kFirst + R"({"worker":7,"public":")" + kKey2 + "\"}\n", "2: lacks the worker's name"},
      {kFirst + R"({"worker":"","public":")" + kKey2 + "\"}\n", "2: has a name that is empty"},
      {kFirst + R"({"worker":"a\nb","public":")" + kKey2 + "\"}\n",
       "2: has a name that has a control character"},
      {kFirst + R"({"worker":")" + std::string(65, 'a') + R"(","public":")" + kKey2 + "\"}\n",
       "2: has a name that is longer than 64 bytes"},
      {kFirst + kNode7 + kNode7, "3: has a name that an earlier line has"},
      {kFirst + kNode7 + R"({"worker":"node8","public":")" + kKey2 + "\"}\n",
       "3: has a key that an earlier line has"},
  };
  for (const auto& [text, problem] : cases) EXPECT_EQ(problem_of(text), problem) << text.substr(0, 300);
  EXPECT_EQ(problem_of(kFirst), "");
  EXPECT_EQ(problem_of(kFirst + kNode7), "");
}

// A worker that has the dispatcher's own key would be both sides of a session.
TEST(KeyFile, NoWorkerHasTheKeyOfTheDispatcher) {
  KeyFile file{SecretKey(all(1))};
  file.workers.push_back({"node7", file.dispatcher.public_key()});
  EXPECT_EQ(problem_of(key_file_text(file)), "2: has a key that an earlier line has");
}

TEST(KeyFile, HasAtMostTenThousandWorkers) {
  KeyFile file{SecretKey(all(1))};
  for (std::size_t i = 0; i < kKeyFileWorkersMax; ++i) {
    WorkerKey next = worker("worker " + std::to_string(i), 0);
    next.key.bytes[0] = static_cast<std::uint8_t>(i);
    next.key.bytes[1] = static_cast<std::uint8_t>(i >> 8);
    file.workers.push_back(std::move(next));
  }
  EXPECT_EQ(problem_of(key_file_text(file)), "");
  file.workers.push_back(worker("one more", 5));
  EXPECT_EQ(problem_of(key_file_text(file)), "10002: is one worker too many: 10000 is the most");
}

TEST(KeyFile, ItsTextIsMadeWithoutGrowing) {
  KeyFile file = file_of_a_run();
  for (int i = 0; i < 100; ++i) {
    WorkerKey next{std::string(32, '"') + std::string(29, '\\') + std::to_string(100 + i), PublicKey{all(7)}};
    next.expires = kEndOf2026;
    file.workers.push_back(std::move(next));
  }
  const std::string text = key_file_text(file);
  EXPECT_LT(text.size(), text.capacity());
  EXPECT_GT(text.size() * 2, text.capacity()) << "room for what it has, not twice that: it has not grown";
}

TEST(Timestamps, OfSecondsReadBack) {
  EXPECT_EQ(unix_seconds_text(kEndOf2026), "2026-12-31T23:59:59Z");
  EXPECT_EQ(parse_unix_seconds("2026-12-31T23:59:59Z"), kEndOf2026);
  EXPECT_EQ(parse_unix_seconds("1970-01-01T00:00:00Z"), 0);
  EXPECT_EQ(parse_unix_seconds("9999-12-31T23:59:59Z"), 253'402'300'799);
  EXPECT_EQ(unix_seconds_text(INT64_MAX), "9999-12-31T23:59:59Z");
  EXPECT_EQ(unix_seconds_text(-1), "1970-01-01T00:00:00Z");
  EXPECT_TRUE(parse_unix_seconds("2024-02-29T00:00:00Z"));
  for (const char* text : {"", "2026", "2023-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
                           "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z",
                           "2026-01-01T00:00:60Z", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00z",
                           "2026-01-01T00:00:00", "1969-12-31T23:59:59Z", "+026-01-01T00:00:00Z"}) {
    EXPECT_FALSE(parse_unix_seconds(text)) << text;
  }
}

RC_GTEST_PROP(TimestampsProperty, OfSecondsReadBack, ()) {
  const auto at = *rc::gen::inRange<std::int64_t>(0, 253'402'300'800);
  RC_ASSERT(parse_unix_seconds(unix_seconds_text(at)) == at);
}

// One that was cut or damaged is refused with a line that it has, or is a file that could have been written.
RC_GTEST_PROP(KeyFileProperty, ADamagedFileIsRefusedOrReadsBack, ()) {
  std::string text = key_file_text(*rc::gen::arbitrary<bool>() ? pool() : file_of_a_run());
  const auto place = *rc::gen::inRange<std::size_t>(0, text.size());
  const bool cut = *rc::gen::arbitrary<bool>();
  if (cut) {
    text.resize(place);
  } else {
    text[place] = static_cast<char>(text[place] ^ (1 << *rc::gen::inRange(0, 8)));
  }
  const auto lines = 1 + std::count(text.begin(), text.end(), '\n');
  const auto parsed = parse_key_file(text);
  if (const auto* fault = std::get_if<KeyFileFault>(&parsed)) {
    RC_ASSERT(!fault->problem.empty());
    RC_ASSERT(fault->line <= static_cast<std::size_t>(lines));
    RC_ASSERT((fault->line == 0) == text.empty());
    RC_ASSERT(fault->problem.find("QEBAQ") == std::string::npos);
    return;
  }
  if (cut) RC_ASSERT(text.back() == '\n');
  const auto again = parse_key_file(key_file_text(std::get<KeyFile>(parsed)));
  RC_ASSERT(std::holds_alternative<KeyFile>(again));
}

}  // namespace
}  // namespace workpool
