// SPDX-License-Identifier: MIT
// Results that the dispatcher has not acked as durable yet, in the order in which they came, as the messages
// that carry them. Each is kept until then, sent once a session, at most `window` bytes beyond the last ack.
// What is sent is shared with whoever sends it: no result is copied.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>

#include "common/wire/messages.h"

namespace workpool::worker {

class KeptResults {
 public:
  // Returns the result with this outcome, for the caller to fill in what else it has to say.
  JobResult& add(Outcome&& outcome);
  // The next message: of up to 256 results and 64 KiB, or of one larger result; null if there is nothing to
  // send or the window is full. `seq`: its number.
  std::shared_ptr<const Results> take_unsent(std::uint64_t window, std::uint64_t seq);
  void acked(std::uint64_t up_to_seq);
  // A new session: all of it is to be sent again, by key.
  void session_over();
  void clear();

  std::uint64_t bytes() const { return bytes_; }
  bool empty() const { return messages_.empty(); }
  std::size_t size() const { return size_; }  // results

 private:
  struct Message {
    std::shared_ptr<Results> results;
    std::uint64_t bytes = 0;
    std::uint64_t seq = 0;
  };
  std::deque<Message> messages_;
  std::size_t unsent_from_ = 0;  // those before it are sent in this session
  std::size_t size_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t in_flight_ = 0;
};

}  // namespace workpool::worker
