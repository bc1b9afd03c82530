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

// The jobs of a batch that an earlier start of the run has finished.
struct Finished {
  AlreadyDone done;
  std::uint64_t jobs = 0;
  std::uint64_t payload_bytes = 0;
};

InvalidLine invalid_line(std::uint64_t line, const LineError& error) {
  InvalidLine invalid;
  invalid.facts.line = line;
  invalid.facts.id = "L" + std::to_string(line);
  invalid.message = "column " + std::to_string(error.column) + ": " + error.message;
  return invalid;
}

}  // namespace

void PipeSource::take(std::vector<Event>& events) {
  StreamBatch batch = reader_.take();
  Finished finished;
  for (StreamItem& item : batch.items) {
    if (const auto* error = std::get_if<LineError>(&item.content)) {
      events.emplace_back(invalid_line(item.line, *error));
      continue;
    }
    StreamJob& job = std::get<StreamJob>(item.content);
    JobFacts& facts = job.loaded.facts;
    const auto taken = intake_.take(facts);
    if (const auto* done = std::get_if<JobIntake::Done>(&taken)) {
      ++count_of(done->past, finished.done);
      ++finished.jobs;
      finished.payload_bytes += facts.payload_bytes;
    } else if (const auto* refused = std::get_if<JobIntake::Refused>(&taken)) {
      events.emplace_back(InvalidLine{std::move(facts), refused->message});
    } else {
      events.emplace_back(JobArrived{std::move(job.loaded), std::move(job.requirement)});
    }
  }
  if (finished.jobs > 0) {
    events.emplace_back(finished.done);
    reader_.released(finished.jobs, finished.payload_bytes);
  }
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
