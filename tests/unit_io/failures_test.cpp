// SPDX-License-Identifier: MIT
// How a failure reads, and how it gets its command.
#include <gtest/gtest.h>

#include <algorithm>

#include "dispatcher/io/terminal/command_words.h"
#include "dispatcher/io/terminal/summary.h"
#include "tests/unit_io/terminal_fixture.h"

namespace workpool::dispatcher {
namespace {

TEST(Failures, AFailureNamesItsJobItsCommandAndWhatItSaidLast) {
  JobEnded job = failure(string(32, 'a'), "exit status 2");
  EXPECT_EQ(failure_text(job, "", true), "line 12: exit status 2 on node7");
  EXPECT_EQ(failure_text(job, "false", true), "line 12: false: exit status 2 on node7");
  job.id = string(32, '0') + "#2";
  job.last_line = "cannot open a b.jpg";
  EXPECT_EQ(failure_text(job, "convert 'a b.jpg'", true),
            "line 12: convert 'a b.jpg': exit status 2 on node7: cannot open a b.jpg");
  EXPECT_EQ(failure_text(job, "convert 'a b.jpg'", false),
            "line 12: convert 'a b.jpg': exit status 2 on node7");
  job.id = string(32, 'g');
  job.attempt = 3;
  EXPECT_EQ(failure_text(job, "false", false),
            "job '" + string(32, 'g') + "' (line 12): false: exit status 2 (attempt 3) on node7");
  job.name = "a b.jpg";
  EXPECT_EQ(failure_text(job, "", false), "'a b.jpg' (job 12): exit status 2 (attempt 3) on node7");
}

// ---- the commands of failures ----

TerminalOptions describing() {
  TerminalOptions options = options_of(Progress::kNone);
  options.describes = true;
  return options;
}

JobEnded numbered(JobNumber number) {
  JobEnded job = failure(string(32, 'a'), "exit status 1");
  job.number = number;
  job.line = number + 1;
  return job;
}

TEST(Failures, FailuresWaitForTheirCommandsAndKeepTheirOrder) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, describing(), kStart);
  terminal.report(numbered(7), kStart);
  terminal.report(numbered(8), kStart);
  EXPECT_EQ(terminal.take_questions(), (std::vector<JobNumber>{7, 8}));
  EXPECT_TRUE(terminal.take_questions().empty());
  EXPECT_TRUE(terminal.awaits_answers());
  terminal.described(8, R"({"cmd":"exit 1"})", kStart);
  EXPECT_EQ(screen.read(), "");
  terminal.described(7, R"({"cmd":["false","a b"]})", kStart);
  EXPECT_FALSE(terminal.awaits_answers());
  EXPECT_EQ(screen.read(),
            "not ok  line 8: false 'a b': exit status 1 on node7\n"
            "not ok  line 9: exit 1: exit status 1 on node7\n");
}

TEST(Failures, AFailureIsShownWithoutItsCommandIfThatDoesNotCome) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, describing(), kStart);
  terminal.report(numbered(7), kStart);
  EXPECT_EQ(terminal.next_draw(), kStart + milliseconds(500));
  terminal.show(snapshot_of(0, 1, 9), kStart + milliseconds(499));
  EXPECT_EQ(screen.read(), "");
  terminal.show(snapshot_of(0, 1, 9), kStart + milliseconds(500));
  EXPECT_EQ(screen.read(), "not ok  line 8: exit status 1 on node7\n");
  EXPECT_EQ(terminal.next_draw(), kNever);
  terminal.report(numbered(8), kStart + seconds(1));
  terminal.described(8, "", kStart + seconds(1));  // its line has changed
  EXPECT_EQ(screen.read(), "not ok  line 9: exit status 1 on node7\n");
  terminal.report(numbered(9), kStart + seconds(2));
  terminal.finish(snapshot_of(0, 3, 3), AllRecorded{false}, kStart + seconds(2));
  EXPECT_TRUE(screen.read().starts_with("not ok  line 10: exit status 1 on node7\ndone: 0 ok, 3 failed"));
}

TEST(Failures, OnlyTheFirstFailuresAndTheExamplesAreAskedFor) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, describing(), kStart);
  for (JobNumber number = 0; number < 100; ++number) terminal.report(numbered(number), kStart);
  JobEnded late = numbered(200);
  late.message = "exit status 9";
  terminal.report(late, kStart);
  EXPECT_EQ(terminal.take_questions().size(), Failures::kShownOnce);
  for (JobNumber number = 0; number < 10; ++number) terminal.described(number, R"({"cmd":"exit 1"})", kStart);
  const string text = screen.read();
  EXPECT_TRUE(
      text.ends_with("line 10: exit 1: exit status 1 on node7\n(further failures are only counted)\n"))
      << text;
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 11) << text;
  terminal.ask_for_examples();
  EXPECT_EQ(terminal.take_questions(), std::vector<JobNumber>{200});
  terminal.described(200, R"({"cmd":"exit 9"})", kStart);
  terminal.finish(snapshot_of(0, 101, 101), AllRecorded{false}, kStart + seconds(2));
  const string summary = screen.read();
  EXPECT_TRUE(has(summary, "     100  exit status 1, e.g. line 1: exit 1\n")) << summary;
  EXPECT_TRUE(has(summary, "       1  exit status 9, e.g. line 201: exit 9\n")) << summary;
}

TEST(Failures, AJobFromAPipeBringsItsCommandAndOneOfEachHasItsValues) {
  const Screen screen(Screen::Kind::kPipe);
  Console console(screen.fd());
  Terminal terminal(console, options_of(Progress::kNone), kStart);
  JobEnded job = numbered(7);
  job.work = SharedBytes(R"({"cmd":["false","x"]})");
  terminal.report(job, kStart);
  job.name = "x";
  terminal.report(job, kStart);
  JobEnded bad = numbered(0);
  bad.id = "L1";
  bad.status = Status::kInvalid;
  bad.worker = "";
  terminal.report(bad, kStart);
  EXPECT_TRUE(terminal.take_questions().empty());
  EXPECT_EQ(screen.read(),
            "not ok  line 8: false x: exit status 1 on node7\n"
            "not ok  'x' (job 8): exit status 1 on node7\n"
            "not ok  line 1: invalid: exit status 1\n");
}

TEST(Failures, ACommandIsCutBetweenItsWords) {
  const auto shown = [](const string& work) { return short_command(work); };
  EXPECT_EQ(shown(R"({"cmd":["true"]})"), "true");
  EXPECT_EQ(shown(R"({"cmd":"a | b\nc"})"), "a | b …");
  EXPECT_EQ(shown(R"({"cmd":"\n  a\u001b[2J"})"), "a\\x1b[2J");
  EXPECT_EQ(
      shown(R"({"cmd":["vipsthumbnail","a b.jpg","--size","100x100","-o","thumbs/a very long name.jpg"]})"),
      "vipsthumbnail 'a b.jpg' --size 100x100 -o …");
  const string sixty = string(30, 'a') + " " + string(29, 'b');
  EXPECT_EQ(shown("{\"cmd\":\"" + sixty + "\"}"), sixty);
  EXPECT_EQ(shown("{\"cmd\":\"" + sixty + "b\"}"), string(30, 'a') + " …");
  EXPECT_EQ(shown("{\"cmd\":\"" + string(100, 'x') + "\"}"), string(59, 'x') + "…");
  EXPECT_EQ(shown(R"({"type":"sha256","args":{"text":"x, y"}})"), R"(sha256 {"text":"x, y"})");
}

}  // namespace
}  // namespace workpool::dispatcher
