// SPDX-License-Identifier: MIT
// One direction of one connection: first in, first out, with a delay that varies, a bandwidth, and stalls in
// which everything waits. When the connection breaks, what is on its way is lost from some point on.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <utility>

#include "tests/simulation/timeline.h"

namespace workpool::simulation {

class Pipe : public std::enable_shared_from_this<Pipe> {
 public:
  explicit Pipe(Timeline& timeline) : timeline_(timeline) {}

  // `transfer`: how long it occupies the line before the next one.
  void push(Duration delay, Duration transfer, std::function<void()> arrive) {
    if (broken_ || std::exchange(lose_next_, false)) return;
    free_at_ = std::max(free_at_, timeline_.now()) + transfer;
    queue_.push_back({free_at_ + delay, std::move(arrive)});
    pump();
  }
  void stall(bool stalled) {
    stalled_ = stalled;
    if (!stalled_) pump();
  }
  // All but the first `kept` of what is under way is lost; nothing more goes in.
  void cut(std::size_t kept) {
    broken_ = true;
    if (queue_.size() > kept) queue_.resize(kept);
  }
  // One message vanishes, as a socket drops what is too large for it or what its peer had not read.
  void lose_next() { lose_next_ = true; }
  std::size_t size() const { return queue_.size(); }
  bool broken() const { return broken_; }

 private:
  struct Frame {
    Time ready;
    std::function<void()> arrive;
  };
  void pump() {
    if (pumping_ || stalled_ || queue_.empty()) return;
    pumping_ = true;
    timeline_.at(std::max(queue_.front().ready, last_), [self = shared_from_this()] {
      self->pumping_ = false;
      if (self->stalled_ || self->queue_.empty()) return;
      if (self->queue_.front().ready > self->timeline_.now()) return self->pump();
      self->last_ = self->timeline_.now();
      const auto arrive = std::move(self->queue_.front().arrive);
      self->queue_.pop_front();
      self->pump();
      arrive();
    });
  }

  Timeline& timeline_;
  std::deque<Frame> queue_;
  Time free_at_;
  Time last_;
  bool stalled_ = false;
  bool broken_ = false;
  bool pumping_ = false;
  bool lose_next_ = false;
};

}  // namespace workpool::simulation
