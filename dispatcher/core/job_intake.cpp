// SPDX-License-Identifier: MIT
#include "dispatcher/core/job_intake.h"

#include "common/base/text.h"

namespace workpool::dispatcher {

std::variant<JobIntake::ToRun, JobIntake::Done, JobIntake::Refused> JobIntake::take(JobFacts& facts) {
  const std::string line_id = "L" + std::to_string(facts.line);
  const bool given = !facts.id.empty();
  if (given || !resumable_) {
    if (!given) facts.id = line_id;
    facts.repeat = 0;
    facts.key = key_of_id(facts.id);
  } else {
    facts.key = key_of_default_id(facts.spec, 1);
    facts.repeat = ids_.next_repeat(facts.key.high, facts.spec.high);
    if (facts.repeat > 1) facts.key = key_of_default_id(facts.spec, facts.repeat);
  }
  auto past = ids_.admit(facts.key, facts.spec, facts.repeat != 0);
  if (!past) {
    const std::string id = printable(facts.full_id(), 80);
    facts.id = line_id;
    facts.repeat = 0;
    facts.key = {};
    return Refused{resumable_ ? "the id \"" + id + "\" has come before: give each job an id of its own"
                              : "the id \"" + id +
                                    "\" belongs to a job that is still open: give each job an id of its own"};
  }
  // Version 0.1.0 recorded a job without an id under its line.
  if (resumable_ && !given && *past == JobRegister::Past::kNone)
    past = ids_.remembered(key_of_id(line_id), facts.spec);
  if (*past == JobRegister::Past::kOk || (*past != JobRegister::Past::kNone && !retry_failed_))
    return Done{*past};
  return ToRun{};
}

void JobIntake::recorded(const JobFacts& facts) {
  if (!resumable_ && facts.key != Key{}) ids_.forget(facts.key);
}

}  // namespace workpool::dispatcher
