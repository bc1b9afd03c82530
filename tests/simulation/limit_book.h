// SPDX-License-Identifier: MIT
// What limits promise, seen from what really runs: of a key that allows N, never more than N run at once; and
// of one that allows N in a time, never more than N begin within it. A worker that is lost may still run a
// job that has gone to another one, so this holds in seeds that lose none.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <string>

#include "common/base/job.h"
#include "tests/simulation/setup.h"

namespace workpool::simulation {

class LimitBook {
 public:
  explicit LimitBook(const Setup& setup);

  // A job with this limit begins; `others` of its jobs run at that moment, on any worker. Returns what is
  // broken, or "".
  std::string begins(const Limit& limit, std::uint32_t others, Time now);

 private:
  bool loses_nobody_;
  bool starts_at_once_;
  std::map<std::string, std::deque<Time>> begun_;  // the last ones, by key
};

}  // namespace workpool::simulation
