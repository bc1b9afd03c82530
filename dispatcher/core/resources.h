// SPDX-License-Identifier: MIT
// What a job needs of a worker, and what a worker has for its jobs. Slots are the only resource so far;
// memory or GPUs would be further members, and nothing that places jobs would change.
#pragma once

#include <algorithm>
#include <cstdint>

namespace workpool::dispatcher {

struct Resources {
  std::uint32_t slots = 0;

  // Whether this much can be taken out of `room`: of no resource more than is there.
  bool fits(const Resources& room) const { return slots <= room.slots; }
  bool none() const { return slots == 0; }
  void give(const Resources& more) { slots += more.slots; }
  // Takes as much of it as there is: a worker may hold more jobs than it can run at once.
  void take(const Resources& less) { slots -= std::min(slots, less.slots); }

  bool operator==(const Resources&) const = default;
};

// What is left of `room` without `taken`.
inline Resources without(Resources room, const Resources& taken) {
  room.take(taken);
  return room;
}

}  // namespace workpool::dispatcher
