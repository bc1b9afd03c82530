// SPDX-License-Identifier: MIT
// What the dispatcher knows of a job: its facts, and the payload, which only its worker looks into.
#pragma once

#include <cstdint>
#include <string>

#include "common/base/boxed.h"
#include "common/base/ids.h"
#include "common/base/job.h"
#include "common/base/shared_bytes.h"
#include "common/base/time.h"

namespace workpool::dispatcher {

// The place of a job in its jobs file, from 0 in order of submission. Not a line number: blank lines do not
// count.
using JobNumber = std::uint64_t;

// What the scheduler knows of a job once its line has been read. The payload (LoadedJob::work) is kept beside
// it, and only the worker looks into it.
struct JobFacts {
  JobNumber number = 0;
  std::uint64_t line = 0;    // in the jobs file, from 1
  std::string id;            // given, or `L<line>`; empty for a default id, which spec and repeat make
  std::uint64_t repeat = 0;  // of a default id: 1 for the first job of that spec, 2 … for the next; else 0
  Key key;
  Spec spec;
  std::uint32_t requirement = 0;  // index into the list of requirements
  std::int32_t priority = 0;
  Duration timeout{0};  // 0 = none
  std::uint32_t retries = 0;
  std::uint32_t slots = 1;
  std::uint64_t payload_bytes = 0;
  Boxed<JobNotes> notes;  // of few jobs

  std::string full_id() const { return repeat == 0 ? id : default_id(spec, repeat); }
};

// A job whose line has been read: what the scheduler knows of it, and what only its worker will look into.
struct LoadedJob {
  JobFacts facts;
  SharedBytes work;  // JobLine::work
};

}  // namespace workpool::dispatcher
