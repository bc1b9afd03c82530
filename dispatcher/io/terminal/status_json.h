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
  std::optional<Duration> uptime;  // of a dispatcher that answers; nullopt: from the files of a run
  std::string listen;              // the address at which other machines may join; "" if none
  bool insecure = false;           // and whoever reaches that may
  std::string jobs;                // path or "-"
  std::string results;
  Snapshot snapshot;
  std::vector<WorkerView> workers;
  RunningList running;
  std::vector<HeldUp> limits;  // that hold up jobs, the worst first
};

inline constexpr std::size_t kStatusBytes = 60 << 10;
// If all running jobs are asked for.
inline constexpr std::size_t kStatusBytesMost = 1 << 20;
inline constexpr std::size_t kLongestShown = 20;
inline constexpr std::size_t kLimitsShown = 10;

// One line, `"v":1` first. Running jobs take at most half of `bytes_max`, workers what is left; of both the
// last ones are left out if there are more, and `running_total` and `workers_left_out` say how many there
// are.
std::string status_json(const StatusFacts& facts, std::size_t bytes_max = kStatusBytes);

// Returns several printable lines, each with a newline; nullopt if `json` is not a JSON object of version 1.
std::optional<std::string> status_text(std::string_view json);

// One line for each of several runs, and the line above them.
std::optional<std::string> status_row(std::string_view json);
std::string status_row_head();

// Whether it says that nothing runs any more, which is what the files of a run say.
bool says_over(std::string_view json);

}  // namespace workpool::dispatcher
