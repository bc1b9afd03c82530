// SPDX-License-Identifier: MIT
#include "dispatcher/io/jobs/pipe_source.h"

#include <cstdint>
#include <string>
#include <utility>
#include <variant>

namespace workpool::dispatcher {
namespace {

std::uint64_t& count_of(JobRegister::Past past, AlreadyDone& done) {
  switch (past) {
    case JobRegister::Past::kFailed:
      return done.failed;
    case JobRegister::Past::kTimeout:
      return done.timeout;
    case JobRegister::Past::kQuarantined:
      return done.quarantined;
    case JobRegister::Past::kOk:
    case JobRegister::Past::kNone:
      break;
  }
  return done.ok;
}

// The lines of a batch that an earlier start of the run has finished.
struct Finished {
  AlreadyDone done;
  std::uint64_t lines = 0;
  std::uint64_t payload_bytes = 0;
};

InvalidLine invalid_line(const StreamItem& item, const LineError& error) {
  InvalidLine invalid;
  invalid.facts.line = item.line;
  invalid.facts.id = "L" + std::to_string(item.line);
  invalid.facts.spec = item.digest;
  invalid.message = "column " + std::to_string(error.column) + ": " + error.message;
  return invalid;
}

}  // namespace

void PipeSource::take(std::vector<Event>& events) {
  StreamBatch batch = reader_.take();
  Finished finished;
  const auto skip = [&](std::uint64_t line) {
    if (listener_.skipped) listener_.skipped(line);
  };
  const auto add_invalid = [&](InvalidLine&& invalid) {
    if (!intake_.recorded_before(invalid.facts.spec)) {
      events.emplace_back(std::move(invalid));
      return;
    }
    ++finished.done.invalid;
    ++finished.lines;
    skip(invalid.facts.line);
    finished.payload_bytes += invalid.facts.payload_bytes;
  };
  for (StreamItem& item : batch.items) {
    if (const auto* error = std::get_if<LineError>(&item.content)) {
      add_invalid(invalid_line(item, *error));
      continue;
    }
    StreamJob& job = std::get<StreamJob>(item.content);
    JobFacts& facts = job.loaded.facts;
    const auto taken = intake_.take(facts);
    if (const auto* done = std::get_if<JobIntake::Done>(&taken)) {
      ++count_of(done->past, finished.done);
      ++finished.lines;
      skip(facts.line);
      finished.payload_bytes += facts.payload_bytes;
    } else if (const auto* refused = std::get_if<JobIntake::Refused>(&taken)) {
      facts.spec = item.digest;
      add_invalid(InvalidLine{std::move(facts), refused->message});
    } else {
      events.emplace_back(JobArrived{std::move(job.loaded), std::move(job.requirement)});
    }
  }
  if (finished.lines > 0) {
    events.emplace_back(finished.done);
    reader_.released(finished.lines, finished.payload_bytes);
  }
  if (batch.ended && batch.problem.empty() && listener_.problem) batch.problem = listener_.problem();
  if (!batch.problem.empty()) {
    events.emplace_back(InputBroken{std::move(batch.problem)});
  } else if (batch.ended) {
    events.emplace_back(InputEnded{});
  }
}

void PipeSource::recorded(const JobFacts& facts) {
  intake_.recorded(facts);
  reader_.released(1, facts.payload_bytes);
}

}  // namespace workpool::dispatcher
