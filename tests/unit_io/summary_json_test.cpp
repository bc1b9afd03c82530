// SPDX-License-Identifier: MIT
// The end of a run as JSON.
#include "dispatcher/io/terminal/summary_json.h"

#include <gtest/gtest.h>

#include <string>

#include "common/formats/json_scalars.h"

namespace workpool::dispatcher {
namespace {

RunFacts run_of(int exit_status) {
  return {"0.1.0",
          RunId{0xff},
          "my jobs.jsonl",
          exit_status,
          "2026-11-29T08:00:00.000Z",
          "2026-11-29T08:00:09.500Z",
          {{"local", 7}, {"node7", 3}}};
}

JobEnded failure(const std::string& id, const std::string& message, const std::string& worker) {
  JobEnded job;
  job.id = id;
  job.line = 12;
  job.status = Status::kFailed;
  job.kind = ErrorKind::kExit;
  job.message = message;
  job.worker = worker;
  return job;
}

TEST(SummaryJson, SaysAllThatTheTextSays) {
  SummaryFacts facts;
  facts.end = AllRecorded{false};
  facts.snapshot.total = 10;
  facts.snapshot.ok = 7;
  facts.snapshot.failed = 2;
  facts.snapshot.timeout = 1;
  facts.elapsed = milliseconds(9500);
  facts.results = "out.jsonl";
  Failures failures;
  failures.add(failure(std::string(32, 'a'), "exit status 2", "node7"));
  failures.add(failure("named", "exit status 2", "node7"));
  failures.add(failure("other", "no \"room\"", "local"));
  facts.reasons = failures.reasons({});
  facts.not_ok_by_worker = failures.by_worker();
  facts.given_up = {"2 jobs with the label gpu"};
  EXPECT_EQ(summary_json(facts, run_of(1)),
            R"({"v":1,"version":"0.1.0","run":"00000000000000ff","exit":1,"end":"not_all_ok",)"
            R"("reason":"some jobs are not ok","jobs_file":"my jobs.jsonl","results_file":"out.jsonl",)"
            R"("started":"2026-11-29T08:00:00.000Z","finished":"2026-11-29T08:00:09.500Z","wall_s":9.500,)"
            R"("jobs":{"total":10,"total_known":true,"before":0,"done":10,"ok":7,"failed":2,"timeout":1,)"
            R"("quarantined":0,"invalid":0,"left":0,"retried":0,"redelivered":0},)"
            R"("failures":[{"reason":"exit status 2","count":2,"line":12,"worker":"node7"},)"
            R"({"reason":"no \"room\"","count":1,"line":12,"id":"other","worker":"local"}],)"
            R"("failures_left_out":0,"not_run":["2 jobs with the label gpu"],)"
            R"("workers":[{"name":"local","done":7,"not_ok":1},{"name":"node7","done":3,"not_ok":2}]})");
}

TEST(SummaryJson, EachEndHasAWordAndAReason) {
  const auto said = [](const RunEnd& end) {
    SummaryFacts facts;
    facts.end = end;
    const auto json = json_scalars(summary_json(facts, run_of(0)));
    return json ? json->at("end") + ": " + json->at("reason") : "";
  };
  EXPECT_EQ(said(AllRecorded{true}), "all_ok: every job is ok");
  EXPECT_EQ(said(NobodyFits{}), "no_worker_fits: no worker could run what is left");
  EXPECT_EQ(said(Stopped{StopKind::kTerminate}), "stopped: terminated (SIGTERM)");
  EXPECT_EQ(said(JobsChanged{3}), "jobs_changed: the jobs file was changed during the run (line 3)");
  EXPECT_EQ(said(NoLocalWorker{"cannot\x1b"}).substr(0, 16), "no_local_worker:");
  EXPECT_EQ(said(ResultsLost{28}), "results_lost: cannot write the results: No space left on device");
  EXPECT_EQ(said(TooManyNotOk{20, 29, 20, false}), "max_fails: 20 jobs not ok (--max-fails 20)");
  EXPECT_EQ(said(EnoughOk{3, true}), "until_ok: 3 jobs ok (--until-ok 3)");
  EXPECT_EQ(said(EnoughOk{3, false}), "until_ok: 3 jobs ok (--until-ok 3)");
  EXPECT_EQ(said(TooFewOk{11}), "too_few_ok: fewer are ok than --until-ok 11 asks for");
}

TEST(SummaryJson, ReasonsAreBoundedAndWhatIsWithdrawnIsNone) {
  Failures failures;
  for (int i = 0; i < 200; ++i) failures.add(failure("x", "reason " + std::to_string(i), "w"));
  failures.add(failure("x", "reason 150", "w"));
  const auto reasons = failures.reasons({});
  ASSERT_EQ(reasons.size(), Failures::kReasonsMost);
  EXPECT_EQ(reasons.front().reason, "reason 150");
  EXPECT_EQ(reasons.front().count, 2u);
  EXPECT_EQ(failures.standing(), 201u);
  failures.take_back(failure("x", "reason 150", "w"));
  EXPECT_EQ(failures.standing(), 200u);
  EXPECT_EQ(failures.by_worker().at("w"), 200u);
}

}  // namespace
}  // namespace workpool::dispatcher
