// SPDX-License-Identifier: MIT
// What `status` shows: one JSON object from the dispatcher that is asked, and the text for people that the
// asking program makes of it. The two may be of different versions: unknown members are ignored, missing ones
// are shown as `?`.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/time.h"
#include "dispatcher/core/facts.h"

namespace workpool::dispatcher {

struct StatusFacts {
  std::string version;
  RunId run;
  Duration uptime{0};
  std::string jobs;  // path or "-"
  std::string results;
  Snapshot snapshot;
  std::vector<WorkerView> workers;
};

// One line, `"v":1` first. If all workers would make it longer than `bytes_max`, the last ones are left
// out and `workers_left_out` says how many.
std::string status_json(const StatusFacts& facts, std::size_t bytes_max = 60 * 1024);

// Returns several printable lines, each with a newline; nullopt if `json` is not a JSON object of version 1.
std::optional<std::string> status_text(std::string_view json);

}  // namespace workpool::dispatcher
