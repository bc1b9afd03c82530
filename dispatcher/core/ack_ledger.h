// SPDX-License-Identifier: MIT
// Which of one session's sink messages are done, and what its worker has been told of that. The durable ack
// is the highest n such that all of 1..n are done, so a message waits for the record of its results and for
// every message before it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

namespace workpool::dispatcher {

class AckLedger {
 public:
  // In place of a record's number: it has none yet, because the line of its job is still being read.
  static constexpr std::uint64_t kUnknown = ~0ull;

  // What a message waits for: records 1..`record` are durable (0 = at once), and settle() has been called for
  // each of its `unnumbered` results, whose records have no number yet. `bytes`: what its results count
  // against the worker's result window. `soon`: the worker waits for its ack; that of a beat goes down with
  // the next message.
  struct Needs {
    std::uint64_t record = 0;
    std::size_t unnumbered = 0;
    std::uint64_t bytes = 0;
    bool soon = true;
  };

  // `seq` rises by one from 1.
  void received(std::uint64_t seq, const Needs& needs);
  void settle(std::uint64_t seq, std::uint64_t record);
  // Records 1..`durable` are durable.
  void advance(std::uint64_t durable);

  std::uint64_t ack() const { return ack_; }
  std::uint64_t received() const { return received_; }

  // What goes down the lane with the next message.
  struct Told {
    std::uint64_t ack = 0;
    std::uint64_t received = 0;
  };
  Told tell();
  // Whether the ack covers a message whose worker waits for it, and has not been told; and how many bytes of
  // results it covers that have not.
  bool is_untold() const { return untold_; }
  std::uint64_t untold_bytes() const { return done_bytes_ - told_bytes_; }

 private:
  struct Open {
    std::uint64_t seq = 0;
    Needs needs;
  };
  std::deque<Open> open_;  // empty exactly when ack_ == received_
  std::uint64_t ack_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t durable_ = 0;
  std::uint64_t done_bytes_ = 0;  // of messages 1..ack_
  std::uint64_t told_bytes_ = 0;
  bool untold_ = false;
};

}  // namespace workpool::dispatcher
