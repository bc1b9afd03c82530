// SPDX-License-Identifier: MIT
// The place of one pool thread: what it runs now, and the stop token of that. The thread itself, kill() and
// the watch over the timeouts meet here.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

#include "common/io/clock.h"
#include "worker/handlers/handler.h"

namespace workpool::worker {

class PoolSeat : public StopToken {
 public:
  enum class Verdict : std::uint8_t {
    kOwn,       // ended by itself
    kStopped,   // kill() came
    kReported,  // its timeout, or that it does not stop, has been reported already
  };
  struct Overdue {
    std::uint64_t token = 0;
    bool timed_out = false;  // else it has not come back from kill()
    Duration timeout{0};
    Duration ran{0};
  };

  // ---- its thread ----

  // `claim` sets the token, under the lock, so that kill() finds an attempt either in its batch or here.
  template <typename Claim>
  bool sit_down(Claim&& claim) {
    const std::lock_guard lock(mutex_);
    busy_ = claim(token_);
    stopped_ = false;
    verdict_ = Verdict::kOwn;
    timeout_ = Duration(0);
    return busy_;
  }
  void set_timeout(Time started, Duration timeout) {
    const std::lock_guard lock(mutex_);
    started_ = started;
    timeout_ = timeout;
    due_ = started + timeout;
  }
  Verdict stand_up() {
    const std::lock_guard lock(mutex_);
    busy_ = false;
    act_ = nullptr;
    return verdict_;
  }

  bool is_stopped() const override {
    const std::lock_guard lock(mutex_);
    return stopped_;
  }
  bool sleep_for(Duration duration) const override {
    std::unique_lock lock(mutex_);
    // The clock is asked again after each wait: a condition variable knows no CLOCK_BOOTTIME.
    for (const Time until = boot_time() + duration; !stopped_;) {
      const Time now = boot_time();
      if (now >= until) return true;
      set_.wait_for(lock, until - now);
    }
    return false;
  }
  void when_set(std::function<void()> act) const override {
    const std::lock_guard lock(mutex_);
    if (stopped_) return act();
    act_ = std::move(act);
  }

  // ---- any thread ----

  // True if it runs `token`. Its handler has until `patience` to come back.
  bool stop(std::uint64_t token, Time patience) {
    const std::lock_guard lock(mutex_);
    if (!busy_ || token_ != token) return false;
    if (verdict_ == Verdict::kOwn) {
      verdict_ = Verdict::kStopped;
      patience_ = patience;
    }
    set();
    return true;
  }
  void stop_whatever_runs() {
    const std::lock_guard lock(mutex_);
    set();
  }
  // Whether expire() has anything to wait for.
  bool has_timer() const {
    const std::lock_guard lock(mutex_);
    return busy_ && ((verdict_ == Verdict::kOwn && timeout_ > Duration(0)) || verdict_ == Verdict::kStopped);
  }
  // Nothing ran here for `pause`, until `now`, so timers that were set before it move by that much.
  void move_timers(Duration pause, Time now) {
    const std::lock_guard lock(mutex_);
    if (!busy_ || started_ > now - pause) return;
    due_ += pause;
    patience_ += pause;
  }
  // Returns true, once, if the job has reached its timeout or the end of its patience after a stop, and fills
  // `overdue`. Else lowers `next` to the time at which that will be.
  bool expire(Time now, Overdue& overdue, Time& next) {
    const std::lock_guard lock(mutex_);
    const bool may_time_out = verdict_ == Verdict::kOwn && timeout_ > Duration(0);
    if (!busy_ || (!may_time_out && verdict_ != Verdict::kStopped)) return false;
    const Time due = may_time_out ? due_ : patience_;
    if (due > now) {
      if (due < next) next = due;
      return false;
    }
    verdict_ = Verdict::kReported;
    overdue = {token_, may_time_out, timeout_, now - started_};
    set();
    return true;
  }

 private:
  void set() {
    stopped_ = true;
    set_.notify_all();
    if (act_) std::exchange(act_, nullptr)();
  }

  mutable std::mutex mutex_;
  mutable std::condition_variable set_;  // the stop token
  mutable std::function<void()> act_;    // when_set()
  bool busy_ = false;
  bool stopped_ = false;
  Verdict verdict_ = Verdict::kOwn;
  std::uint64_t token_ = 0;
  Time started_{};
  Duration timeout_{0};
  Time due_{};
  Time patience_{};
};

}  // namespace workpool::worker
