// SPDX-License-Identifier: MIT
// Every target over its seeds, their truncations, and seeded changes of them: a few seconds, with any
// compiler.
#include <gtest/gtest.h>

#include <ostream>
#include <string>

#include "tests/fuzz/mutator.h"
#include "tests/fuzz/targets.h"

namespace workpool::fuzz {

// For gtest, which finds it by the name.
void PrintTo(const Target& target, std::ostream* out) { *out << target.name; }

namespace {

constexpr int kChanges = 20'000;
constexpr int kNoises = 3'000;

class Replay : public testing::TestWithParam<Target> {};

// A failure aborts: the trace names what to run again.
TEST_P(Replay, SeedsAndTheirTruncations) {
  for (const std::string& seed : GetParam().seeds()) {
    for (std::size_t size = seed.size(); size > 0; --size) GetParam().run(std::string(seed, 0, size));
  }
  GetParam().run("");
}

TEST_P(Replay, ChangedSeeds) {
  const auto seeds = GetParam().seeds();
  Mutator random(42);
  for (int i = 0; i < kChanges; ++i) GetParam().run(random.changed(seeds[random.below(seeds.size())], seeds));
}

TEST_P(Replay, Noise) {
  Mutator random(7);
  for (int i = 0; i < kNoises; ++i) GetParam().run(random.noise(random.below(1500)));
}

std::string name_of(const testing::TestParamInfo<Target>& target) { return target.param.name; }

INSTANTIATE_TEST_SUITE_P(Fuzz, Replay, testing::ValuesIn(targets()), name_of);

}  // namespace
}  // namespace workpool::fuzz
