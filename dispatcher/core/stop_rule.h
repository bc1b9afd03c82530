// SPDX-License-Identifier: MIT
// When a run stops by itself although jobs are left: --max-fails and --until-ok (docs/reference.md, "Stopping
// by itself"). Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "dispatcher/core/run_end.h"

namespace workpool::dispatcher {

struct StopRule {
  // A part of few jobs says little: it counts once so many have ended.
  static constexpr std::uint64_t kPartOfLeast = 20;

  std::optional<std::uint64_t> not_ok;          // --max-fails N
  std::optional<std::uint32_t> not_ok_percent;  // --max-fails P%
  std::optional<std::uint64_t> ok;              // --until-ok N
};

// How jobs have ended for good. What is not ok counts for this start only: a run that was stopped for it can
// be continued. What is ok counts over all starts: the run is on its way to that number.
struct Tally {
  std::uint64_t ok = 0;           // of the run
  std::uint64_t ended_here = 0;   // in this start
  std::uint64_t not_ok_here = 0;  // of these
};

// Why the run stops now; nullopt if it goes on.
std::optional<RunEnd> stop_of(const StopRule& rule, const Tally& tally);
// How a run ended in which every job has a record.
RunEnd end_of_all(const StopRule& rule, std::uint64_t ok, bool all_ok);

}  // namespace workpool::dispatcher
