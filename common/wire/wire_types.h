// SPDX-License-Identifier: MIT
// The numbers of the message types on the wire (docs/protocol.md). A number is never reused for another
// message.
#pragma once

#include <cstdint>

namespace workpool::wire {

enum Type : std::uint32_t {
  kHello = 1,
  kStatusRequest = 2,
  kWelcome = 3,
  kRefused = 4,
  kStatusReply = 5,
  kPart = 6,
  kDied = 10,
  kHeld = 11,
  kResults = 12,
  kReturned = 13,
  kReady = 14,
  kBeat = 15,
  kGoodbye = 16,
  kJobs = 20,
  kCancel = 21,
  kRecall = 22,
  kLaneBeat = 23,
  kStop = 24,
  kEnd = 25,
};

}  // namespace workpool::wire
