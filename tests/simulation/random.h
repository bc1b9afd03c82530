// SPDX-License-Identifier: MIT
// The simulator's only source of chance: xoshiro256** (Blackman, Vigna 2018) seeded by splitmix64. The same
// seed gives the same numbers on every machine, which the standard library's distributions do not promise.
#pragma once

#include <cmath>
#include <cstdint>

#include "common/base/time.h"

namespace workpool::simulation {

class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (std::uint64_t& word : state_) {
      seed += 0x9e3779b97f4a7c15;
      std::uint64_t x = seed;
      x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
      x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
      word = x ^ (x >> 31);
    }
  }

  std::uint64_t bits() {
    const std::uint64_t result = rotated(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotated(state_[3], 45);
    return result;
  }
  std::uint64_t id() { return bits() | 1; }  // never 0
  // 0 … n-1; 0 if n is 0.
  std::uint64_t below(std::uint64_t n) { return n == 0 ? 0 : bits() % n; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  bool one_in(std::uint64_t n) { return below(n) == 0; }
  Duration between(Duration low, Duration high) { return Duration{between(low.count(), high.count())}; }
  // As likely between 1 and 10 as between 10 and 100. REQUIRES: low > 0.
  Duration spread(Duration low, Duration high) {
    const double part = static_cast<double>(below(1'000'001)) / 1'000'000;
    const double from = std::log(static_cast<double>(low.count()));
    const double to = std::log(static_cast<double>(high.count()));
    return Duration{static_cast<Duration::rep>(std::exp(from + part * (to - from)))};
  }

 private:
  static std::uint64_t rotated(std::uint64_t x, int by) { return x << by | x >> (64 - by); }
  std::uint64_t state_[4];
};

}  // namespace workpool::simulation
