// SPDX-License-Identifier: MIT
// Which of one session's sink messages are done. The durable ack is the highest n such that all of 1..n are
// done, so a message waits for the record of its results and for every message before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

namespace workpool::dispatcher {

class AckLedger {
 public:
  static constexpr std::uint64_t kUnknown = ~0ull;

  // Message `seq` (rising by one from 1) is done once records 1..`record` are durable (0 = at once), and once
  // settle() has been called for each of its `unnumbered` results, whose records have no number yet.
  void received(std::uint64_t seq, std::uint64_t record, std::size_t unnumbered = 0);
  void settle(std::uint64_t seq, std::uint64_t record);
  // Records 1..`durable` are durable.
  void advance(std::uint64_t durable);

  std::uint64_t ack() const { return ack_; }
  std::uint64_t received() const { return received_; }

 private:
  struct Open {
    std::uint64_t seq = 0;
    std::uint64_t record = 0;
    std::size_t unnumbered = 0;
  };
  std::deque<Open> open_;  // empty exactly when ack_ == received_
  std::uint64_t ack_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t durable_ = 0;
};

}  // namespace workpool::dispatcher
