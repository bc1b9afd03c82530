// SPDX-License-Identifier: MIT
// What `show` prints: rows, values with commas, output, numbers.
#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "dispatcher/io/show/contents.h"
#include "dispatcher/io/show/csv.h"
#include "dispatcher/io/show/job_commands.h"
#include "dispatcher/io/show/result_fields.h"
#include "dispatcher/io/show/rows.h"
#include "dispatcher/io/show/stats.h"
#include "dispatcher/io/terminal/command_words.h"
#include "tests/unit_io/show_fixture.h"

namespace workpool::dispatcher {
namespace {

class ShowText : public ShowTest {
 protected:
  const JobsAtHand* jobs(const std::string& text) {
    folder_.write(folder_.path("jobs.jsonl"), text);
    auto opened = JobsAtHand::open(folder_.path("jobs.jsonl"), JobsFormat::kJsonLines);
    jobs_ = std::move(std::get<std::unique_ptr<JobsAtHand>>(opened));
    return jobs_.get();
  }
  std::string piped(const JobsAtHand* jobs = nullptr) {
    read({}, {}, jobs == nullptr ? nullptr : &jobs->index());
    const std::optional<RowLayout> none;
    return text_by<RowVisitor>(none, jobs);
  }
  std::string on_terminal(std::size_t columns, const JobsAtHand* jobs = nullptr) {
    read({}, {}, jobs == nullptr ? nullptr : &jobs->index());
    Visitors visitors;
    visitors.push_back(std::make_unique<WidthVisitor>());
    text_by(visitors);
    const std::optional<RowLayout> layout =
        RowLayout{dynamic_cast<const WidthVisitor&>(*visitors[0]).widths(), columns};
    return header_of(*layout) + text_by<RowVisitor>(layout, jobs);
  }
  std::string csv(const ShowOptions& options = {}) {
    read();
    Visitors visitors;
    visitors.push_back(std::make_unique<InputNamesVisitor>());
    text_by(visitors);
    const std::vector<std::string> inputs =
        dynamic_cast<const InputNamesVisitor&>(*visitors[0]).names().in_order();
    const JobsAtHand* const none = nullptr;
    return csv_header(options, inputs) + text_by<CsvVisitor>(options, inputs, none);
  }
  std::string content(const ShowOptions& options) {
    read();
    return text_by<ContentVisitor>(options);
  }

  std::unique_ptr<JobsAtHand> jobs_;
};

// ---- rows ----

TEST_F(ShowText, PipedRowsHaveTabs) {
  put({ResultOf(2, "b").failed(3).ran(microseconds(35100), "node7"), ResultOf(1).ran(seconds(90)),
       ResultOf(3).signal(9)});
  EXPECT_EQ(piped(),
            "1\t-\tok\t0\t90\tw1\t1\t-\n"
            "2\tb\tfailed\t3\t0.0351\tnode7\t1\t-\n"
            "3\t-\tok\tSIGKILL\t0\tw1\t1\t-\n");
}

TEST_F(ShowText, ControlCharactersNeverReachTheOutput) {
  put({ResultOf(1, "a\tb\n\x1b[31m").ran(seconds(1), "w\x07")});
  EXPECT_EQ(piped(), "1\ta\\x09b\\x0a\\x1b[31m\tok\t0\t1\tw\\x07\t1\t-\n");
}

TEST_F(ShowText, TheCommandComesFromTheJobsFile) {
  const JobsAtHand* const at_hand =
      jobs("{\"cmd\":[\"one\"],\"id\":\"a\"}\n{\"cmd\":[\"two\"]}\n{\"cmd\":[\"three\"],\"id\":\"c\"}\n");
  put({ResultOf(1, "a").work("one"), ResultOf(7).work("two"), ResultOf(3, "c").work("other"),
       ResultOf(4, "gone").work("one")});
  EXPECT_EQ(piped(at_hand),
            "1\ta\tok\t0\t0\tw1\t1\tone\n"
            "2\t-\tok\t0\t0\tw1\t1\ttwo\n"
            "3\tc\tok\t0\t0\tw1\t1\t-\n"
            "4\tgone\tok\t0\t0\tw1\t1\t-\n");
  // Changed after it was read.
  folder_.write(folder_.path("jobs.jsonl"), "{\"cmd\":[\"uno\"],\"id\":\"a\"}\n");
  EXPECT_EQ(piped(at_hand).substr(0, 18), "1\ta\tok\t0\t0\tw1\t1\t-\n");
}

TEST_F(ShowText, WithoutACommandTheInputsStandThere) {
  put({ResultOf(1).more(R"("each":{"1":"0.1","2":"a b"})"),
       ResultOf(2).more(R"("each":{"rate":"3","file":"x\ny"})")});
  EXPECT_EQ(piped(),
            "1\t-\tok\t0\t0\tw1\t1\t0.1 a b\n"
            "2\t-\tok\t0\t0\tw1\t1\trate=3 file=x\\x0ay\n");
}

TEST_F(ShowText, WhatNeitherStatusNorExitSayStandsBehindAHash) {
  put({ResultOf(1).work("one").ended(Status::kFailed, ErrorKind::kHandler, "no such file"),
       ResultOf(2, "L2").ended(Status::kInvalid, ErrorKind::kInvalid, "not JSON"),
       ResultOf(3).ended(Status::kTimeout, ErrorKind::kTimeout, "timed out after 1s"),
       ResultOf(4).failed(2)});
  EXPECT_EQ(piped(jobs("{\"cmd\":[\"one\"]}\n")),
            "1\t-\tfailed\thandler\t0\tw1\t1\tone  # no such file\n"
            "2\t-\tinvalid\t-\t0\tw1\t1\t# not JSON\n"
            "3\t-\ttimeout\t-\t0\tw1\t1\t-\n"
            "4\t-\tfailed\t2\t0\tw1\t1\t-\n");
}

TEST_F(ShowText, RowsOnATerminalAreAlignedAndCut) {
  const JobsAtHand* const at_hand = jobs("{\"cmd\":\"echo 0123456789abcdef\"}\n{\"cmd\":[\"two\"]}\n");
  put({ResultOf(2).work("two").failed(31).ran(milliseconds(1500), "machine-1"),
       ResultOf(100).ran(seconds(3725), "node-ü")});
  EXPECT_EQ(on_terminal(60, at_hand),
            "LINE  STATUS  EXIT  RUN TIME  WORKER     ATTEMPTS  COMMAND\n"
            "   2  failed  31        1.5s  machine-1         1  two\n"
            " 100  ok      0         1h2m  node-ü            1\n");
  std::string line;
  OwnedResult shell;
  shell.id = "x";
  shell.line = 1;
  shell.spec = spec_of_work(R"({"cmd":"echo 0123456789abcdef"})");
  shell.repeat = 1;
  append_result_line(line, shell);
  put(line);
  EXPECT_EQ(on_terminal(40, at_hand),
            "LINE  STATUS  ATTEMPTS  COMMAND\n"
            "   1  ok             0  echo 0123456789…\n");
  EXPECT_EQ(on_terminal(5, at_hand),
            "LINE  STATUS  ATTEMPTS  COMMAND\n"
            "   1  ok             0  echo 012345…\n");
}

TEST_F(ShowText, AnIdHasItsColumnIfThereIsOne) {
  put({ResultOf(1), ResultOf(2, "b")});
  EXPECT_EQ(on_terminal(80),
            "LINE  ID  STATUS  EXIT  RUN TIME  WORKER  ATTEMPTS  COMMAND\n"
            "   1      ok      0          0us  w1             1\n"
            "   2  b   ok      0          0us  w1             1\n");
}

TEST_F(ShowText, CommandsReadAsTheyWereTyped) {
  EXPECT_EQ(command_text(R"({"cmd":["./a","b c","","d\"e"]})"), R"(./a 'b c' '' 'd"e')");
  EXPECT_EQ(command_text(R"({"cmd":"a | b\nc","cwd":"/x"})"), "a | b\nc");
  EXPECT_EQ(command_text(R"({"type":"sha256","args":{"text":"x, y"}})"), R"(sha256 {"text":"x, y"})");
  EXPECT_EQ(command_text(R"({"type":"noop"})"), "noop");
}

TEST_F(ShowText, TimesAreShort) {
  EXPECT_EQ(run_time_text(microseconds(11)), "11us");
  EXPECT_EQ(run_time_text(microseconds(1234)), "1.2ms");
  EXPECT_EQ(run_time_text(microseconds(9960)), "10ms");
  EXPECT_EQ(run_time_text(microseconds(999'600)), "1.0s");
  EXPECT_EQ(run_time_text(seconds(125)), "2m5s");
  EXPECT_EQ(seconds_text(Duration(0)), "0");
  EXPECT_EQ(seconds_text(microseconds(1'000'001)), "1.000001");
  EXPECT_EQ(seconds_text(microseconds(35100)), "0.0351");
}

// ---- output ----

TEST_F(ShowText, OutputIsShownByteForByte) {
  ShowOptions options;
  options.standard_output = true;
  put({ResultOf(2).printed("no end"), ResultOf(1).printed("\xff\n"), ResultOf(3).printed("", "err")});
  EXPECT_EQ(content(options), "\xff\nno end");
  options.standard_error = true;
  EXPECT_EQ(content(options), "\xff\nno enderr");
  options.standard_output = false;
  EXPECT_EQ(content(options), "err");
}

TEST_F(ShowText, TagsStandBeforeEachLine) {
  ShowOptions options;
  options.standard_output = true;
  options.tag = true;
  put({ResultOf(1, "a\nb").printed("x\n\ny"), ResultOf(2).printed("z\n").more(R"("each":{"1":"p q"})"),
       ResultOf(3).printed("w"), ResultOf(4).printed("")});
  EXPECT_EQ(content(options), "a\\x0ab\tx\na\\x0ab\t\na\\x0ab\ty\np q\tz\n3\tw\n");
}

TEST_F(ShowText, ValuesHaveALineEach) {
  ShowOptions options;
  options.value = true;
  put({ResultOf(1).printed("x"), ResultOf(2).more(R"("value":{"a":[1,"\n"]})"),
       ResultOf(3).more(R"("value":null)")});
  EXPECT_EQ(content(options), "{\"a\":[1,\"\\n\"]}\nnull\n");
}

TEST_F(ShowText, WhatWasCutIsCounted) {
  ShowOptions options;
  options.standard_error = true;
  put({ResultOf(9).cut(5), ResultOf(4).cut(2), ResultOf(1)});
  read();
  Visitors visitors;
  visitors.push_back(std::make_unique<ContentVisitor>(options));
  text_by(visitors);
  const CutOutput cut = dynamic_cast<const ContentVisitor&>(*visitors[0]).cut();
  EXPECT_EQ(cut.jobs, 2U);
  EXPECT_EQ(cut.bytes, 7U);
  EXPECT_EQ(cut.first_line, 4U);
  EXPECT_NE(
      cut.text().find(
          "2 jobs was cut when it was captured, in the middle, by 7 bytes (the first is the job of line 4)"),
      std::string::npos)
      << cut.text();
  EXPECT_EQ(CutOutput{}.text(), "");
  // Of several threads.
  CutOutput all;
  for (const std::uint64_t line : {9, 4, 7}) all.add({1, 1, line});
  all.add(CutOutput{});
  EXPECT_EQ(all.first_line, 4U);
  EXPECT_EQ(all.jobs, 3U);
}

// ---- commas ----

TEST_F(ShowText, CsvQuotesWhatItMust) {
  put({ResultOf(1, "a,b").failed(3).ran(microseconds(1500), "say \"w\"").cut(8),
       ResultOf(2, "L2")
           .ended(Status::kInvalid, ErrorKind::kInvalid, "two\nlines")
           .more(R"("cpu_ms":1.5,"max_rss_kib":9)")});
  EXPECT_EQ(
      csv(),
      "line,id,status,attempt,exit,signal,error.kind,error.message,worker,queued_ms,run_ms,cpu_ms,max_rss_"
      "kib,"
      "finished,truncated,command\r\n"
      "1,\"a,b\",failed,1,3,,exit,exit status 3,\"say \"\"w\"\"\",0,1.5,,,1970-01-01T00:00:00.000Z,8,\r\n"
      "2,L2,invalid,1,,,invalid,\"two\nlines\",w1,0,0,1.5,9,1970-01-01T00:00:00.000Z,,\r\n");
}

TEST_F(ShowText, CsvHasColumnsForInputsAndOutput) {
  ShowOptions options;
  options.standard_output = true;
  options.value = true;
  put({ResultOf(2).printed("x,\r\n").more(R"("each":{"rate":"2","seed":"7"})"),
       ResultOf(1).more(R"("each":{"seed":"5"})"), ResultOf(3).more(R"("value":{"a":1})")});
  const std::string text = csv(options);
  EXPECT_NE(text.find(",command,each.seed,each.rate,stdout,value\r\n"), std::string::npos) << text;
  EXPECT_NE(text.find(",,5,,,\r\n"), std::string::npos) << text;
  EXPECT_NE(text.find(",,7,2,\"x,\r\n\",\r\n"), std::string::npos) << text;
  EXPECT_NE(text.find(",,,,,\"{\"\"a\"\":1}\"\r\n"), std::string::npos) << text;
}

TEST_F(ShowText, NamesOfInputsDoNotDependOnWhoReadThem) {
  ResultView view;
  const std::string first = ResultOf(5).more(R"("each":{"a":"","b":""})").text();
  const std::string second = ResultOf(1).more(R"("each":{"b":"","c":""})").text();
  InputNames names;
  InputNames others;
  CountingLine line;
  line.line = 5;
  ASSERT_TRUE(read_result_view(first, view));
  names.add(line, view);
  line.line = 1;
  ASSERT_TRUE(read_result_view(second, view));
  others.add(line, view);
  names.add(others);
  EXPECT_EQ(names.in_order(), (std::vector<std::string>{"b", "c", "a"}));
}

// ---- numbers ----

TEST_F(ShowText, StatsAreByStatusAndByWorker) {
  std::vector<ResultOf> results;
  for (std::uint64_t line = 1; line <= 20; ++line)
    results.push_back(
        ResultOf(line).ran(seconds(static_cast<std::int64_t>(21 - line)), line % 2 == 0 ? "b" : "a"));
  results.push_back(
      ResultOf(21).failed(1).ran(milliseconds(5), "b").more(R"("cpu_ms":1500,"max_rss_kib":2048)"));
  results.push_back(
      ResultOf(22).failed(1).ran(milliseconds(7), "b").more(R"("cpu_ms":500,"max_rss_kib":512)"));
  put(results);
  read();
  Visitors visitors;
  for (int i = 0; i < 2; ++i) visitors.push_back(std::make_unique<StatsVisitor>());
  text_by(visitors);
  Stats stats;
  for (const auto& visitor : visitors) stats.add(dynamic_cast<const StatsVisitor&>(*visitor).stats());
  EXPECT_EQ(stats.text(),
            "STATUS  JOBS  MEDIAN    P95  LONGEST  CPU TIME  MOST MEMORY\n"
            "ok        20   10.0s  19.0s    20.0s\n"
            "failed     2   5.0ms  7.0ms    7.0ms      2.0s       2.0MiB\n"
            "all       22    9.0s  19.0s    20.0s      2.0s       2.0MiB\n"
            "\n"
            "WORKER  JOBS  NOT OK  MEDIAN    P95  LONGEST  CPU TIME  MOST MEMORY\n"
            "a         10       0   10.0s  20.0s    20.0s\n"
            "b         12       2    7.0s  19.0s    19.0s      2.0s       2.0MiB\n");
}

TEST_F(ShowText, StatsOfNothing) {
  put(std::string());
  read();
  EXPECT_EQ(Stats{}.text(), "STATUS  JOBS\nall        0\n");
}

}  // namespace
}  // namespace workpool::dispatcher
