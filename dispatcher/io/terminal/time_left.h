// SPDX-License-Identifier: MIT
// When a run will be over, as far as that can be known: from what is left, how long attempts took, what runs
// for how long, and how many run at once. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "common/base/time.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/io/terminal/status_line.h"

namespace workpool::dispatcher {

// How long the attempts of this start took, in constant memory: classes, four for each doubling.
class RunTimes {
 public:
  void add(Duration reported);
  std::uint64_t count() const { return count_; }
  Duration sum() const { return sum_; }
  // How much longer an attempt will take that has run for `ran`, by what those took that ran longer. If none
  // did, it is only known for one that has hardly run longer than they.
  std::optional<Duration> left_after(Duration ran) const;

 private:
  struct Class {
    std::uint64_t count = 0;
    Duration sum{0};
    Duration mean() const { return sum / static_cast<std::int64_t>(count); }
  };
  static std::size_t class_of(Duration ran);

  std::array<Class, 256> classes_{};
  std::uint64_t count_ = 0;
  Duration sum_{0};
  Duration longest_{0};
};

// Nullopt if it cannot be known: nothing has ended yet, more jobs may come, nothing moves, or what decides is
// a job that has run for longer than any that has ended.
std::optional<Duration> time_left(const Snapshot& snapshot, const RunningJobs& running, const RunTimes& times,
                                  const RateMeter& rate);

}  // namespace workpool::dispatcher
