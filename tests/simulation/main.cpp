// SPDX-License-Identifier: MIT
// The simulator by hand: test_simulation --seed N [LINES] replays one seed with its trace, --seeds A-B runs a
// range and stops at the first that breaks an invariant; without either, the tests.
#include <gtest/gtest.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>

#include "tests/simulation/world.h"

namespace {

volatile std::uint64_t current_seed = 0;

// A broken CHECK aborts in the middle of a seed: say which one.
void say_seed(int) {
  std::fprintf(stderr, "simulation: seed %llu aborted; --seed %llu replays it\n",
               static_cast<unsigned long long>(current_seed), static_cast<unsigned long long>(current_seed));
  std::_Exit(134);
}

int replay(std::uint64_t seed, std::size_t lines) {
  current_seed = seed;
  workpool::simulation::World world(seed, lines);
  const workpool::simulation::Verdict verdict = world.run();
  for (const std::string& line : verdict.trace) std::printf("%s\n", line.c_str());
  std::printf("seed %llu: %s; %llu steps, %llu executions, %.3f s\n", static_cast<unsigned long long>(seed),
              verdict.broken.empty() ? "ok" : verdict.broken.c_str(),
              static_cast<unsigned long long>(verdict.steps),
              static_cast<unsigned long long>(verdict.executions),
              static_cast<double>(verdict.ended.time_since_epoch().count()) / 1e6);
  return verdict.broken.empty() ? 0 : 1;
}

int run_seeds(std::uint64_t first, std::uint64_t last, bool all) {
  const std::clock_t began = std::clock();
  std::uint64_t steps = 0;
  std::uint64_t executions = 0;
  int failed = 0;
  for (std::uint64_t seed = first; seed <= last; ++seed) {
    current_seed = seed;
    workpool::simulation::World world(seed);
    const workpool::simulation::Verdict verdict = world.run();
    steps += verdict.steps;
    executions += verdict.executions;
    if (verdict.broken.empty()) continue;
    ++failed;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), verdict.broken.c_str());
    std::fflush(stdout);
    if (!all) return 1;
  }
  const double took = static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  std::printf("%llu seeds, %d failed, %llu steps, %llu executions, %.1f s: %.0f seeds/s, %.0f steps/s\n",
              static_cast<unsigned long long>(last - first + 1), failed,
              static_cast<unsigned long long>(steps), static_cast<unsigned long long>(executions), took,
              static_cast<double>(last - first + 1) / took, static_cast<double>(steps) / took);
  return failed == 0 ? 0 : 1;
}

}  // namespace

namespace workpool::simulation {
void now_running(std::uint64_t seed) { current_seed = seed; }
}  // namespace workpool::simulation

int main(int argc, char** argv) {
  std::signal(SIGABRT, say_seed);
  const std::string option = argc >= 3 ? argv[1] : "";
  const std::string more = argc >= 4 ? argv[3] : "";
  if (option == "--seed")
    return replay(std::strtoull(argv[2], nullptr, 10), more.empty() ? 200 : std::stoul(more));
  if (option == "--seeds") {
    char* end = nullptr;
    const std::uint64_t first = std::strtoull(argv[2], &end, 10);
    const std::uint64_t last = *end == '-' ? std::strtoull(end + 1, nullptr, 10) : first;
    return run_seeds(first, last, more == "--all");
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
