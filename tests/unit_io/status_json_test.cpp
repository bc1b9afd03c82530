// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/status_json.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool::dispatcher {
namespace {

using std::string;

bool has(const string& text, const string& part) { return text.find(part) != string::npos; }

TEST(StatusJson, IsReadBackAsText) {
  StatusFacts facts;
  facts.version = "0.1.0";
  facts.run = RunId{0xff};
  facts.uptime = milliseconds(61'500);
  facts.jobs = "a\"b\xff.jsonl";
  facts.results = "-";
  facts.snapshot.total = 10;
  facts.snapshot.ok = 5;
  facts.snapshot.failed = 1;
  facts.snapshot.running = 4;
  facts.snapshot.workers = 2;
  facts.snapshot.slots = 4;
  facts.snapshot.phase = "running";
  facts.snapshot.waiting_for = DiskSpace{};
  facts.workers = {{"node1", 2, 1, 1, 3, true, false}, {"node2", 2, 0, 0, 3, true, true}};
  facts.running.jobs = 3;
  facts.running.longest = {{"one", "", 7, "node2", seconds(58 * 60), 2, 1},
                           {"0123456789abcdef0123456789abcdef", "0.1 2", 9, "node1", seconds(4), 1, 1}};
  facts.running.longest[1].progress.emplace() = {290, "a \"text\"\xff"};
  const string json = status_json(facts);
  EXPECT_EQ(
      json.rfind("{\"v\":1,\"version\":\"0.1.0\",\"run\":\"00000000000000ff\",\"phase\":\"running\",", 0), 0U)
      << json;
  EXPECT_EQ(json.find('\n'), string::npos);
  EXPECT_TRUE(has(json, R"("slots":1},{"line":9,)")) << json;
  EXPECT_TRUE(has(json, R"("slots":1,"progress":0.290,"text":"a \"text\"\\xff"}])")) << json;
  const auto text = status_text(json);
  ASSERT_TRUE(text.has_value()) << json;
  EXPECT_TRUE(has(*text, "run      00000000000000ff is running, up 1m2s (workpool 0.1.0)\n")) << *text;
  EXPECT_TRUE(has(*text, "files    a\"b\\xff.jsonl -> -\n")) << *text;
  EXPECT_TRUE(
      has(*text, "jobs     6/10 done: 5 ok, 1 failed; 4 running, 0 held by workers, 0 waiting for a retry\n"))
      << *text;
  EXPECT_TRUE(has(*text, "waiting  space for the results file\n"));
  EXPECT_TRUE(has(*text,
                  "\n  running  worker                   attempt  job\n"
                  "    58m0s  node2                          2  line 7, id one\n"
                  "     4.0s  node1                          1  '0.1 2', line 9: 29 %, a \"text\"\\xff\n"
                  "(1 more have run for over a second; --all lists them)\n"))
      << *text;
  EXPECT_TRUE(has(*text, "node2                         2      0      0          3  suspect\n")) << *text;
}

TEST(StatusJson, FromFilesItHasNoDispatcher) {
  StatusFacts facts;
  facts.run = RunId{0xff};
  facts.snapshot.total = 10;
  facts.snapshot.ok = 9;
  facts.snapshot.phase = "stopped";
  const string json = status_json(facts);
  EXPECT_FALSE(has(json, "uptime_s")) << json;
  EXPECT_TRUE(says_over(json));
  const auto text = status_text(json);
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(
      *text,
      "run      00000000000000ff is not running, and jobs are left: the same command as before goes on\n"
      "files     -> \njobs     9/10 done: 9 ok\n");
  facts.snapshot.phase = "running";
  facts.uptime = seconds(1);
  EXPECT_FALSE(says_over(status_json(facts)));
  const auto row = status_row(status_json(facts));
  ASSERT_TRUE(row.has_value());
  EXPECT_EQ(row->size(), 10 + 17 + 11 + 9 + 9 + string("   -> \n").size()) << *row;
}

TEST(StatusJson, ManyRunningJobsLeaveRoomForWorkers) {
  StatusFacts facts;
  facts.running.jobs = 5000;
  facts.running.longest.assign(5000, {string(64, 'i'), "", 1, string(64, 'w'), seconds(2), 1, 1});
  facts.uptime = seconds(1);
  facts.workers.assign(5000, {string(64, 'w'), 2, 1, 1, 3, true, false});
  const string json = status_json(facts);
  EXPECT_LE(json.size(), kStatusBytes);
  const auto text = status_text(json);
  ASSERT_TRUE(text.has_value());
  EXPECT_TRUE(has(*text, "--all lists them)"));
  EXPECT_TRUE(has(*text, string(64, 'w') + "      2"));
}

TEST(StatusJson, OfManyWorkersFitsAMessage) {
  StatusFacts facts;
  facts.uptime = seconds(1);
  facts.workers.assign(5000, {string(64, 'w'), 2, 1, 1, 3, true, false});
  const string json = status_json(facts);
  EXPECT_LE(json.size(), 60U * 1024);
  EXPECT_GT(json.size(), 50U * 1024);
  const auto text = status_text(json);
  ASSERT_TRUE(text.has_value());
  EXPECT_TRUE(has(*text, "workers  5000, 0 slots\n"));
  EXPECT_TRUE(has(*text, " more)\n"));
}

TEST(StatusJson, TextRefusesWhatIsNone) {
  EXPECT_TRUE(status_text("{\"v\":1,\"new\":[{\"a\":\"\\u00fc\\ud83d\\ude00\"},[],{}]}").has_value());
  const string deep = string(100'000, '[');
  for (const string& text :
       {string(""), string("x"), string("[]"), string("{}"), string("{\"v\":2}"), string("{\"v\":1"),
        string("{\"v\":1}x"), string("{\"v\":1,}"), string("{\"v\":1,\"a\":\"\\ud800\"}"),
        string("{\"v\":1,\"a\":\"\n\"}"), "{\"v\":1,\"a\":" + deep}) {
    EXPECT_FALSE(status_text(text).has_value()) << text.substr(0, 40);
  }
  const auto text = status_text("{\"v\":1,\"run\":\"\\u001b[2J\"}");
  ASSERT_TRUE(text.has_value());
  EXPECT_EQ(text->find('\x1b'), string::npos);
}

}  // namespace
}  // namespace workpool::dispatcher
