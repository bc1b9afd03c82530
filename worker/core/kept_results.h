// SPDX-License-Identifier: MIT
// Results that the dispatcher has not acked as durable yet, in the order in which they came. Each is kept
// until then, sent once a session, at most `window` bytes beyond the last ack.
#pragma once

#include <cstdint>

#include "common/base/ring.h"
#include "common/wire/messages.h"

namespace workpool::worker {

class KeptResults {
 public:
  void add(JobResult&& result);
  // The next message's worth: up to 256 results or 64 KiB, or one larger one; empty if there is nothing to
  // send or the window is full. `seq`: of the message that will carry them.
  Results take_unsent(std::uint64_t window, std::uint64_t seq);
  void acked(std::uint64_t up_to_seq);
  // A new session: all of it is to be sent again, by key.
  void session_over();
  void clear();

  std::uint64_t bytes() const { return bytes_; }
  bool empty() const { return kept_.empty(); }
  std::size_t size() const { return kept_.size(); }

 private:
  struct Kept {
    JobResult result;
    std::uint64_t bytes = 0;
    std::uint64_t seq = 0;  // of the message that carried it; 0 = not in this session yet
  };
  Ring<Kept> kept_;
  std::size_t unsent_from_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t in_flight_ = 0;
};

}  // namespace workpool::worker
