// SPDX-License-Identifier: MIT
// How often something may happen for each key: a number at once, and then so many a second. Pure.
#pragma once

#include <algorithm>
#include <map>

#include "common/base/time.h"
#include "dispatcher/core/key_id.h"

namespace workpool::dispatcher {

class RateLimit {
 public:
  RateLimit(double at_once, double per_second) : at_once_(at_once), per_second_(per_second) {}

  // Whether it may happen once more. If so, it counts.
  bool admits(KeyId key, Time now) {
    Bucket& bucket = buckets_.try_emplace(key, Bucket{at_once_, now}).first->second;
    const double passed = static_cast<double>((now - bucket.at).count()) / 1e6;
    bucket.left = std::min(at_once_, bucket.left + passed * per_second_);
    bucket.at = now;
    if (bucket.left < 1) return false;
    bucket.left -= 1;
    return true;
  }

 private:
  struct Bucket {
    double left = 0;
    Time at;
  };
  double at_once_;
  double per_second_;
  std::map<KeyId, Bucket> buckets_;
};

}  // namespace workpool::dispatcher
