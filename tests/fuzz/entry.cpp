// SPDX-License-Identifier: MIT
// The entry points that clang's fuzzer looks for (llvm.org/docs/LibFuzzer.html); the replay links them and
// calls none. The first argument names the target. Seeds come in through the mutator, so that no folder of
// them is needed.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "common/base/check.h"
#include "tests/fuzz/mutator.h"
#include "tests/fuzz/targets.h"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most)
    __attribute__((weak));

namespace {

const workpool::fuzz::Target* chosen = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  const auto& all = workpool::fuzz::targets();
  const std::string name = *argc > 1 ? (*argv)[1] : "";
  const auto found =
      std::find_if(all.begin(), all.end(), [&](const auto& target) { return target.name == name; });
  CHECK(found != all.end());  // the first argument names a target of targets.cpp
  chosen = &*found;
  for (int i = 1; i + 1 < *argc; ++i) (*argv)[i] = (*argv)[i + 1];
  --*argc;
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  chosen->run({reinterpret_cast<const char*>(data), size});
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most,
                                               unsigned int number) {
  static const std::vector<std::string> kSeeds = chosen->seeds();
  workpool::fuzz::Mutator random(number);
  if (random.below(200) != 0) return LLVMFuzzerMutate(data, size, most);
  const std::string& seed = kSeeds[random.below(kSeeds.size())];
  const std::size_t taken = std::min(seed.size(), most);
  std::memcpy(data, seed.data(), taken);
  return taken;
}
