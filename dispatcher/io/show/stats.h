// SPDX-License-Identifier: MIT
// Results in numbers: how many and how long, by status and by worker. 16 bytes for each run time.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/outcome.h"
#include "common/base/time.h"
#include "dispatcher/io/show/line_walk.h"

namespace workpool::dispatcher {

struct Figures {
  std::uint64_t jobs = 0;
  std::uint64_t not_ok = 0;
  std::vector<Duration> run_times;  // of those that a worker ran
  bool has_cpu = false;             // whether any result says it; so for the memory
  Duration cpu{0};                  // of all together
  bool has_memory = false;
  std::uint64_t memory_kib = 0;  // the most that one took

  void add(const Figures& other);
};

struct Stats {
  std::array<Figures, 5> by_status;  // by Status
  std::map<std::string, Figures, std::less<>> by_worker;

  void add(const Stats& other);
  // Two tables for people, each line with its newline. A median or percentile is the time of a job: the
  // smallest that half (19 of 20) of the jobs did not exceed.
  std::string text();
};

class StatsVisitor final : public LineVisitor {
 public:
  void take(const CountingLine& line, std::string_view text, const ResultView& view,
            std::string& out) override;
  const Stats& stats() const { return stats_; }

 private:
  Stats stats_;
};

}  // namespace workpool::dispatcher
