// SPDX-License-Identifier: MIT
// Virtual time: what happens when. Things due at the same time happen in the order in which they were asked
// for.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "common/base/time.h"

namespace workpool::simulation {

class Timeline {
 public:
  Time now() const { return now_; }
  std::uint64_t steps() const { return steps_; }

  void at(Time when, std::function<void()> what) {
    due_.push_back({std::max(when, now_), ++order_, std::move(what)});
    std::push_heap(due_.begin(), due_.end(), later);
  }
  void after(Duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }

  // Returns false if nothing is left to happen.
  bool step() {
    if (due_.empty()) return false;
    std::pop_heap(due_.begin(), due_.end(), later);
    Due next = std::move(due_.back());
    due_.pop_back();
    now_ = next.when;
    ++steps_;
    next.what();
    return true;
  }

 private:
  struct Due {
    Time when;
    std::uint64_t order = 0;
    std::function<void()> what;
  };
  static bool later(const Due& a, const Due& b) {
    return std::pair(a.when, a.order) > std::pair(b.when, b.order);
  }

  Time now_;
  std::uint64_t order_ = 0;
  std::uint64_t steps_ = 0;
  std::vector<Due> due_;
};

// A node's own clock: it started at another time and runs up to 1 % fast or slow.
struct Clock {
  Duration offset{0};
  std::int64_t ppm = 0;

  Time local(Time global) const {
    const std::int64_t t = global.time_since_epoch().count();
    return Time{offset + Duration{t + t * ppm / 1'000'000}};
  }
  // The first global time at which the local one is reached.
  Time global(Time local_time) const {
    const std::int64_t t = (local_time.time_since_epoch() - offset).count();
    Time when{Duration{t * 1'000'000 / (1'000'000 + ppm)}};
    while (local(when) < local_time) when += Duration{1};
    return when;
  }
};

}  // namespace workpool::simulation
