// SPDX-License-Identifier: MIT
#include "dispatcher/io/status/results_status.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>

#include "common/base/text.h"
#include "common/io/run_lock.h"
#include "dispatcher/io/results/results_replay.h"
#include "dispatcher/io/results/state_file.h"
#include "dispatcher/io/show/counting_lines.h"
#include "dispatcher/io/show/job_commands.h"
#include "dispatcher/io/terminal/status_json.h"

namespace workpool::dispatcher {
namespace {

void count(const CountingLine& line, Snapshot& snapshot) {
  switch (line.status) {
    case Status::kOk:
      ++snapshot.ok;
      break;
    case Status::kFailed:
      ++snapshot.failed;
      break;
    case Status::kTimeout:
      ++snapshot.timeout;
      break;
    case Status::kQuarantined:
      ++snapshot.quarantined;
      break;
    case Status::kInvalid:
      ++snapshot.invalid;
      break;
  }
}

}  // namespace

StatusAnswer status_of_results(const std::string& results) {
  auto opened = open_to_read(results);
  if (const auto* why = std::get_if<std::string>(&opened))
    return {"", "cannot read the results file " + printable(results) + ": " + *why};
  const int fd = std::get<Descriptor>(opened).get();
  const StateHead head = state_head_of(results);
  std::unique_ptr<JobsAtHand> jobs;
  if (!head.jobs.empty() && head.jobs != "-") {
    auto at_hand = JobsAtHand::open(head.jobs, std::nullopt, {});
    if (auto* found = std::get_if<std::unique_ptr<JobsAtHand>>(&at_hand)) jobs = std::move(*found);
  }
  StatusFacts facts;
  facts.version = WORKPOOL_VERSION;
  facts.jobs = head.jobs.empty() ? "?" : head.jobs;
  facts.results = results;
  Snapshot& snapshot = facts.snapshot;
  Selection all({}, {});
  try {
    const CountingLines counting = read_counting_lines(fd, jobs ? &jobs->index() : nullptr, all);
    if (counting.results.lines == 0 && counting.results.damaged > 0)
      return {"", printable(results) + " is no results file: none of its " +
                      counted(counting.results.damaged, "line") + " is a result. Give the file of `run -o`"};
    // None is of a job there if the run had --cwd, --env or --shell, which the jobs file does not show.
    const auto is_of_a_job = [](const CountingLine& line) { return line.job != kNoJob; };
    const bool by_jobs = std::any_of(counting.lines.begin(), counting.lines.end(), is_of_a_job);
    for (const CountingLine& line : counting.lines) {
      if (!by_jobs || is_of_a_job(line)) count(line, snapshot);
    }
    facts.run = head.run.value_or(RunId{counting.results.run});
  } catch (const StoreError& error) {
    return {"", error.message};
  }
  snapshot.total_known = jobs != nullptr;
  snapshot.total = std::max(jobs ? jobs->index().size() : 0, snapshot.done());
  if (is_used_by_a_run(fd)) {
    snapshot.phase = "running";
  } else if (jobs == nullptr) {
    snapshot.phase = "ended";
  } else {
    snapshot.phase = snapshot.done() < snapshot.total ? "stopped" : "over";
  }
  return {status_json(facts), ""};
}

}  // namespace workpool::dispatcher
