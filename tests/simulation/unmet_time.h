// SPDX-License-Identifier: MIT
// Since when workers have been connected, but none of them could run any job that is left. After
// `--unsatisfiable-after` of that, and no sooner, a run may give up (docs/reference.md).
#pragma once

#include <algorithm>
#include <optional>

#include "common/base/time.h"

namespace workpool::simulation {

class UnmetTime {
 public:
  // `anybody`: a worker is connected; `met`: one that could run a job that is left, or jobs still come.
  void look(bool anybody, bool met, Time now) {
    if (anybody) alone_since_.reset();
    if (!anybody && !alone_since_) alone_since_ = now;
    const bool alone = alone_since_ && now >= *alone_since_ + kShortAbsence;
    if (met || alone) since_.reset();
    if (!met && !alone && !since_) since_ = now;
  }
  // Nobody can connect to a dispatcher that stands still, so that time does not count.
  void stood_still(Duration how_long) {
    if (since_ && how_long > kShortPause) *since_ += how_long - kShortPause;
  }
  // The clock of the dispatcher may be 1 % fast.
  bool lasts(Duration how_long, Time now) const {
    return since_ && now >= *since_ + how_long - how_long / 100;
  }

 private:
  // The dispatcher does not look all the time: it need not notice that its only worker came back at once.
  static constexpr Duration kShortAbsence = seconds(1);
  // And so much of a pause looks to it like any other half a second.
  static constexpr Duration kShortPause = milliseconds(500);

  std::optional<Time> since_;
  std::optional<Time> alone_since_;  // nobody is connected
};

}  // namespace workpool::simulation
