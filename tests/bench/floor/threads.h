// SPDX-License-Identifier: MIT
// How the threads of bench_floor hand things over, and the clock that they read.
#pragma once

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <mutex>
#include <utility>

namespace workpool::bench {

[[noreturn]] inline void give_up(const char* why) {
  std::fprintf(stderr, "bench_floor: %s\n", why);
  std::_Exit(1);
}

inline std::uint64_t microseconds_now() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(now.tv_nsec) / 1000;
}

// Wakes a loop that polls fd().
class Wake {
 public:
  Wake() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}
  int fd() const { return fd_; }
  void raise() {
    const std::uint64_t one = 1;
    if (::write(fd_, &one, sizeof one) < 0) give_up("an eventfd cannot be written");
  }
  void clear() {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto read = ::read(fd_, &count, sizeof count);
  }

 private:
  const int fd_;
};

// A queue between two threads.
template <typename T>
class Queue {
 public:
  // Returns whether the queue was empty, so that the other thread may have to be woken.
  bool put(T item) {
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = items_.empty();
      items_.push_back(std::move(item));
    }
    changed_.notify_one();
    return first;
  }
  // The taker gets what is left, and then nothing.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    changed_.notify_one();
  }
  // Waits for the next item; false: closed.
  bool wait_for(T& item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return closed_ || !items_.empty(); });
    return take(item);
  }
  bool take_if_any(T& item) {
    const std::lock_guard lock(mutex_);
    return take(item);
  }
  std::deque<T> take_all() {
    const std::lock_guard lock(mutex_);
    return std::exchange(items_, {});
  }

 private:
  bool take(T& item) {
    if (items_.empty()) return false;
    item = std::move(items_.front());
    items_.pop_front();
    return true;
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace workpool::bench
