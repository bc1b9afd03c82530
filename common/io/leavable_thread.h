// SPDX-License-Identifier: MIT
// A thread that may hang in a call that nothing ends, such as a read from a dead disk. Whoever started it
// waits a while for its end and then leaves it behind, so that the program can end.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "common/base/time.h"
#include "common/io/threads.h"

namespace workpool {

class LeavableThread {
 public:
  LeavableThread() = default;
  ~LeavableThread() {
    if (thread_.joinable()) thread_.detach();  // left behind
  }
  LeavableThread(const LeavableThread&) = delete;
  LeavableThread& operator=(const LeavableThread&) = delete;

  // As start_thread. `body` owns what it uses, because it may outlive whoever started it.
  void start(std::function<void()> body) {
    thread_ = start_thread([body = std::move(body), end = end_] {
      body();
      const std::lock_guard lock(end->mutex);
      end->has_come = true;
      end->came.notify_all();
    });
  }
  // Waits at most `limit` for the body to return. Returns whether the thread has ended; if not, it may be
  // asked again. REQUIRES: after start.
  bool ends_within(Duration limit) {
    {
      std::unique_lock lock(end_->mutex);
      if (!end_->came.wait_for(lock, limit, [this] { return end_->has_come; })) return false;
    }
    if (thread_.joinable()) thread_.join();
    return true;
  }

 private:
  struct End {
    std::mutex mutex;
    std::condition_variable came;
    bool has_come = false;  // guarded by mutex
  };
  std::shared_ptr<End> end_ = std::make_shared<End>();
  std::thread thread_;
};

// How such a thread wakes the loop that it works for, until that is gone.
class WakeCall {
 public:
  explicit WakeCall(std::function<void()> call) : call_(std::move(call)) {}
  void make() {
    const std::lock_guard lock(mutex_);
    if (call_) call_();
  }
  // After this no call is made, and none is under way.
  void cancel() {
    const std::lock_guard lock(mutex_);
    call_ = nullptr;
  }

 private:
  std::mutex mutex_;
  std::function<void()> call_;  // guarded by mutex_
};

}  // namespace workpool
