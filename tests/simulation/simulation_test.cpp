// SPDX-License-Identifier: MIT
// The seeds that every commit has to pass. A failure names its seed: test_simulation --seed N shows what
// happened.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/simulation/world.h"

namespace workpool::simulation {

void now_running(std::uint64_t seed);  // so that an abort can name it

namespace {

constexpr std::uint64_t kSeedsATest = 500;

class Seeds : public testing::TestWithParam<std::uint64_t> {};

TEST_P(Seeds, KeepEveryInvariant) {
  const std::uint64_t first = GetParam() * kSeedsATest + 1;
  for (std::uint64_t seed = first; seed < first + kSeedsATest; ++seed) {
    now_running(seed);
    const Verdict verdict = World(seed).run();
    if (verdict.broken.empty()) continue;
    std::string trace;
    for (const std::string& line : World(seed, 160).run().trace) trace += line + "\n";
    FAIL() << "seed " << seed << ": " << verdict.broken << "\n"
           << trace << "replay: test_simulation --seed " << seed;
  }
}

INSTANTIATE_TEST_SUITE_P(Simulation, Seeds, testing::Range<std::uint64_t>(0, 4));

TEST(Simulation, TheSameSeedIsTheSameRun) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Verdict first = World(seed, 160).run();
    const Verdict second = World(seed, 160).run();
    EXPECT_EQ(first.steps, second.steps);
    EXPECT_EQ(first.trace, second.trace);
  }
}

}  // namespace
}  // namespace workpool::simulation
