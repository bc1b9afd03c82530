// SPDX-License-Identifier: MIT
// The end of a run in words: why it stopped by itself, and which failures are no reason any more.
#include "dispatcher/io/terminal/summary.h"

#include <gtest/gtest.h>

#include <string>

namespace workpool::dispatcher {
namespace {

Snapshot snapshot_of(std::uint64_t ok, std::uint64_t failed, std::uint64_t total) {
  Snapshot snapshot;
  snapshot.total = total;
  snapshot.ok = ok;
  snapshot.failed = failed;
  return snapshot;
}

JobEnded failure(const std::string& id, const std::string& message) {
  JobEnded job;
  job.id = id;
  job.line = 12;
  job.status = Status::kFailed;
  job.kind = ErrorKind::kExit;
  job.message = message;
  job.attempt = 1;
  return job;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Summary, TheEndSaysWhyARunStoppedByItself) {
  SummaryFacts facts;
  facts.snapshot = snapshot_of(9, 20, 100);
  facts.end = TooManyNotOk{20, 29, 20, false};
  facts.results = "out.jsonl";
  facts.command = {"workpool-dispatcher", "run", "my jobs.jsonl", "-o", "out.jsonl"};
  facts.command.insert(facts.command.end(), {"--until-ok", "9", "--until-ok=9"});
  std::string text = summary_text(facts);
  EXPECT_TRUE(
      has(text, "stopped: 20 jobs not ok (--max-fails 20)\n9 ok, 20 failed, 71 not done of 100 jobs\n"))
      << text;
  EXPECT_TRUE(has(text, "\nto continue: workpool-dispatcher run 'my jobs.jsonl' -o out.jsonl --until-ok 9"));
  facts.end = TooManyNotOk{20, 29, 60, true};
  EXPECT_TRUE(has(summary_text(facts), "stopped: 20 of 29 jobs not ok (--max-fails 60%)\n"));
  facts.end = EnoughOk{9, true};
  text = summary_text(facts);
  EXPECT_TRUE(has(text, "stopped: 9 jobs ok (--until-ok 9)\n")) << text;
  EXPECT_TRUE(text.ends_with("\nto run the rest: workpool-dispatcher run 'my jobs.jsonl' -o out.jsonl"))
      << text;
  facts.snapshot = snapshot_of(9, 1, 10);
  facts.end = EnoughOk{9, false};
  text = summary_text(facts);
  EXPECT_TRUE(has(text, "done: 9 ok, 1 failed of 10 jobs\n")) << text;
  EXPECT_FALSE(has(text, "run what is not ok again")) << text;
  facts.end = TooFewOk{11};
  EXPECT_TRUE(has(summary_text(facts), "\nfewer are ok than --until-ok 11 asks for\n"));
}

TEST(Summary, WhatIsWithdrawnIsNoReasonAtTheEnd) {
  Failures failures;
  failures.add(failure("a", "exit status 1"));
  failures.add(failure("b", "exit status 1"));
  failures.add(failure("c", "exit status 2"));
  failures.take_back(failure("a", "exit status 1"));
  failures.take_back(failure("c", "exit status 2"));
  EXPECT_EQ(failures.groups(false, {}), "       1  exit status 1, e.g. job 'a' (line 12)");
  failures.take_back(failure("b", "exit status 1"));
  EXPECT_EQ(failures.groups(false, {}), "");
}

}  // namespace
}  // namespace workpool::dispatcher
