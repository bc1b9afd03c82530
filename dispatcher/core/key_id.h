// SPDX-License-Identifier: MIT
// The key that a peer has proved to have, as a number that the dispatcher gives to each key and never gives
// again (dispatcher/core/key_ring.h).
#pragma once

#include <compare>
#include <cstdint>

namespace workpool::dispatcher {

struct KeyId {
  std::uint32_t value = 0;  // 0: no key was asked for
  auto operator<=>(const KeyId&) const = default;
};

}  // namespace workpool::dispatcher
