// SPDX-License-Identifier: MIT
// The one line that says how a run goes, and the estimate of its rate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "common/base/time.h"
#include "dispatcher/core/facts.h"

namespace workpool::dispatcher {

// Finished jobs per second, recently if there are enough of them, else since the start. Jobs finished in an
// earlier start of the run do not count.
class RateMeter {
 public:
  explicit RateMeter(Time start) : start_(start) {}
  // `finished`: in this start; never falls. May be called at any rate.
  void sample(std::uint64_t finished, Time now);
  double per_second() const;  // recently
  double per_second_overall() const;

 private:
  struct Sample {
    Time at;
    std::uint64_t finished = 0;
  };
  Time start_;
  Sample last_;
  std::deque<Sample> window_;  // one sample per second, the last 30
};

// "12/200 (6%)  ok 11  failed 1  running 4  2 workers, 4 slots  3.1/s  ETA 1m2s", without escape characters.
// If it is wider than `columns` letters, the least useful parts are left out first, `waiting:` last.
std::string status_line(const Snapshot& snapshot, const RateMeter& rate, std::size_t columns = 10'000);

// `snapshot`, with the number of jobs that will come if it does not know that itself.
Snapshot with_expected(const Snapshot& snapshot, const std::optional<std::uint64_t>& jobs);

// "a worker", "space for the results file"; "" for Nothing. No control characters.
std::string waiting_text(const WaitingFor& waiting);

// How many columns UTF-8 text takes, each letter counted as one.
std::size_t letters_in(const std::string& text);
// Cut to `columns` letters, the last one "…" if something is missing.
std::string fit(const std::string& text, std::size_t columns);

// "0.25/s", "16.3/s", "2410/s".
std::string format_rate(double per_second);
// Rounded to what a person reads: "0.3s", "12.4s", "2m5s", "3h10m".
std::string format_roughly(Duration duration);

}  // namespace workpool::dispatcher
