// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/summary_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "dispatcher/io/terminal/counts_json.h"
#include "dispatcher/io/terminal/json_object.h"

namespace workpool::dispatcher {

namespace {

// A word for programs, which stays the same when the text for people is put better.
const char* word_for(const RunEnd& end) {
  struct Visitor {
    const char* operator()(const AllRecorded& e) const { return e.all_ok ? "all_ok" : "not_all_ok"; }
    const char* operator()(const NobodyFits&) const { return "no_worker_fits"; }
    const char* operator()(const Stopped&) const { return "stopped"; }
    const char* operator()(const JobsChanged&) const { return "jobs_changed"; }
    const char* operator()(const JobsUnreadable&) const { return "jobs_unreadable"; }
    const char* operator()(const NoLocalWorker&) const { return "no_local_worker"; }
    const char* operator()(const ResultsLost&) const { return "results_lost"; }
    const char* operator()(const TooManyNotOk&) const { return "max_fails"; }
    const char* operator()(const EnoughOk&) const { return "until_ok"; }
    const char* operator()(const TooFewOk&) const { return "too_few_ok"; }
  };
  return std::visit(Visitor{}, end);
}

std::string text_for(const RunEnd& end) {
  if (std::string reason = reason_of(end); !reason.empty()) return reason;
  if (const auto* all = std::get_if<AllRecorded>(&end))
    return all->all_ok ? "every job is ok" : "some jobs are not ok";
  if (const auto* few = std::get_if<TooFewOk>(&end))
    return fmt::format("fewer are ok than --until-ok {} asks for", few->wanted);
  if (const auto* enough = std::get_if<EnoughOk>(&end))
    return fmt::format("{} ok (--until-ok {})", counted(enough->wanted, "job"), enough->wanted);
  return "no worker could run what is left";
}

std::string jobs_json(const Snapshot& s) {
  return counts_json(s)
      .number("left", s.total - std::min(s.done(), s.total))
      .number("retried", s.retried)
      .number("redelivered", s.redelivered)
      .end();
}

std::string failure_json(const FailureReason& failure) {
  JsonObject json;
  json.text("reason", failure.reason).number("count", failure.count).number("line", failure.line);
  if (!failure.id.empty()) json.text("id", failure.id);
  if (!failure.command.empty()) json.text("command", failure.command);
  if (!failure.worker.empty()) json.text("worker", failure.worker);
  return json.end();
}

}  // namespace

std::string summary_json(const SummaryFacts& facts, const RunFacts& run) {
  const auto worker_json = [&facts](const WorkDone& worker) {
    const auto not_ok = facts.not_ok_by_worker.find(worker.name);
    return JsonObject()
        .text("name", worker.name)
        .number("done", worker.done)
        .number("not_ok", not_ok == facts.not_ok_by_worker.end() ? 0 : not_ok->second)
        .end();
  };
  const auto given_up_json = [](const std::string& line) {
    std::string text;
    JsonObject::append_text(text, line);
    return text;
  };
  JsonObject json;
  json.number("v", 1).text("version", run.version).text("run", hex64(run.run.value));
  json.number("exit", run.exit_status).text("end", word_for(facts.end)).text("reason", text_for(facts.end));
  json.text("jobs_file", run.jobs).text("results_file", facts.results);
  json.text("started", run.started).text("finished", run.finished);
  json.seconds("wall_s", static_cast<double>(facts.elapsed.count()) / 1e6);
  json.raw("jobs", jobs_json(facts.snapshot));
  json.raw("failures", json_array(facts.reasons, failure_json));
  json.number("failures_left_out", facts.failures_left_out);
  json.raw("not_run", json_array(facts.given_up, given_up_json));
  json.raw("workers", json_array(run.workers, worker_json));
  return json.end();
}

}  // namespace workpool::dispatcher
