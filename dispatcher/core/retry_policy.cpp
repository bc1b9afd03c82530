// SPDX-License-Identifier: MIT
#include "dispatcher/core/retry_policy.h"

#include <algorithm>

namespace workpool::dispatcher {
namespace {

// splitmix64's finaliser (Steele, Lea, Flood 2014): spreads neighbouring attempts over the whole range.
std::uint64_t mixed(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

bool cannot_start(const Outcome& outcome, bool by_shell) {
  if (outcome.kind == ErrorKind::kSpawn) return true;
  if (!by_shell || outcome.kind != ErrorKind::kExit || !outcome.command || !outcome.command->exit)
    return false;
  return *outcome.command->exit == 126 || *outcome.command->exit == 127;
}

Duration retry_delay(const Key& key, std::uint32_t attempt, std::uint32_t count) {
  if (count == 0) return Duration{0};
  const std::uint32_t doublings = std::min<std::uint32_t>(count - 1, 6);  // 1 s x 2^6 is over the most
  const Duration ceiling = std::min(kBackoffFirst * (1 << doublings), kBackoffMost);
  const std::uint64_t draw =
      mixed(key.low ^ mixed(attempt)) % static_cast<std::uint64_t>(ceiling.count() + 1);
  return Duration{static_cast<Duration::rep>(draw)};
}

Duration loss_delay(const Key& key, std::uint32_t attempt, std::uint32_t losses) {
  return losses <= 1 ? Duration{0} : retry_delay(key, attempt, losses - 1);
}

}  // namespace workpool::dispatcher
