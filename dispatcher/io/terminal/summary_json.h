// SPDX-License-Identifier: MIT
// The end of a run as one JSON object, for programs (`--summary FILE`). Its members are in
// docs/reference.md, "Summary as JSON".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "dispatcher/core/work_done.h"
#include "dispatcher/io/terminal/summary.h"

namespace workpool::dispatcher {

// What the terminal does not know of the run.
struct RunFacts {
  std::string version;
  RunId run;
  std::string jobs;     // as given
  int exit_status = 0;  // of the dispatcher
  std::string started;  // RFC 3339
  std::string finished;
  std::vector<WorkDone> workers;  // in this start
};

// One line, without a newline.
std::string summary_json(const SummaryFacts& facts, const RunFacts& run);

}  // namespace workpool::dispatcher
