// SPDX-License-Identifier: MIT
// How long jobs of a kind have run: their median, within a quarter. Pure.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "common/base/time.h"

namespace workpool::worker {

class MedianTime {
 public:
  void note(Duration ran) {
    ++counts_[bucket_of(ran)];
    ++total_;
  }
  // At least the median and at most 1.25 times that; 0 if nothing is known.
  Duration median() const {
    std::uint64_t below = 0;
    for (std::size_t bucket = 0; bucket < kBuckets && total_ > 0; ++bucket) {
      below += counts_[bucket];
      if (2 * below >= total_) return most_of(bucket);
    }
    return Duration{0};
  }

 private:
  // Four to each power of two of microseconds.
  static constexpr std::size_t kBuckets = 4 * 63;
  static std::size_t bucket_of(Duration ran) {
    const auto micros = static_cast<std::uint64_t>(ran.count() < 4 ? 4 : ran.count());
    const auto power = static_cast<std::size_t>(std::bit_width(micros) - 1);
    return 4 * (power - 2) + ((micros >> (power - 2)) & 3);
  }
  static Duration most_of(std::size_t bucket) {
    const std::uint64_t step = std::uint64_t{1} << (bucket / 4);
    return Duration{static_cast<Duration::rep>((4 + bucket % 4 + 1) * step - 1)};
  }

  std::array<std::uint32_t, kBuckets> counts_{};
  std::uint64_t total_ = 0;
};

}  // namespace workpool::worker
