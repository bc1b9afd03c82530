// SPDX-License-Identifier: MIT
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/targets.h"

namespace workpool::fuzz {

// Any bytes are a row of choices. Each inner array once made a check fail.
std::vector<std::string> choice_seeds() {
  std::vector<std::string> seeds;
  Mutator random(1);
  for (const std::size_t size : {50, 200, 800, 2000}) seeds.push_back(random.noise(size));
  return seeds;
}

}  // namespace workpool::fuzz
