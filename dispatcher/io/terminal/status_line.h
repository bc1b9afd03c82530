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
#include "dispatcher/io/terminal/letters.h"

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

// Of the jobs that wait to be tried again, the one whose turn comes first.
struct NextRetry {
  Duration wait{0};
  std::string reason;  // why its last attempt was not ok
};

struct LineFacts {
  Snapshot snapshot;
  double per_second = 0;
  Duration elapsed{0};
  std::optional<Duration> left;                 // see time_left
  std::optional<RunningJobs::Longest> longest;  // only if it is worth showing
  std::optional<NextRetry> retry;
  bool bar = false;       // draw one if there is room
  bool insecure = false;  // it listens, and asks nobody for a key
};

// "[##----------] 12/200 (6%)  ok 11  failed 1  running 4  2 workers, 4 slots  1m05s  3.1/s  ETA 1m02s",
// without escape characters. If it is wider than `columns` letters, the least useful parts are left out
// first, what the run waits for last.
std::string status_line(const LineFacts& facts, std::size_t columns = 10'000);

// `snapshot`, with the number of jobs that will come if it does not know that itself.
Snapshot with_expected(const Snapshot& snapshot, const std::optional<std::uint64_t>& jobs);

// "db=3", "--rate 10/s". No control characters.
std::string limit_text(const HeldUp& limit);

// "a worker", "space for the results file"; "" for Nothing. No control characters.
std::string waiting_text(const WaitingFor& waiting);

// "0.25/s", "16.3/s", "2410/s".
std::string format_rate(double per_second);
// Rounded to what a person reads: "0.3s", "12.4s", "2m5s", "3h10m".
std::string format_roughly(Duration duration);
// For a clock that runs: "12s", "5m03s", "58m", "1h02m", "2d3h".
std::string format_clock(Duration duration);

}  // namespace workpool::dispatcher
