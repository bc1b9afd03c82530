// SPDX-License-Identifier: MIT
// How other threads hand things to a loop: a vector under a mutex and an eventfd that the loop polls.
// The reader and writer threads of the dispatcher have queues of their own.
#pragma once

#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

namespace workpool {

// Wakes a loop; any thread may raise it, any number of times.
class Wake {
 public:
  Wake() : fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
    if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "eventfd");
  }
  ~Wake() { ::close(fd_); }
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  int fd() const { return fd_; }
  void raise() const {
    const std::uint64_t one = 1;
    // Fails only after 2^64 - 2 raises without a clear(): the loop is awake anyway.
    static_cast<void>(!::write(fd_, &one, sizeof one));
  }
  void clear() const {
    std::uint64_t count = 0;
    static_cast<void>(!::read(fd_, &count, sizeof count));
  }

 private:
  int fd_;
};

template <class Item>
class Mailbox {
 public:
  // `wake` outlives the mailbox; several may share one.
  explicit Mailbox(const Wake& wake) : wake_(wake) {}

  void post(Item&& item) {
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = items_.empty();
      items_.push_back(std::move(item));
    }
    if (first) wake_.raise();  // further ones are taken with it
  }
  void post_all(std::vector<Item>&& items) {
    if (items.empty()) return;
    bool first = false;
    {
      const std::lock_guard lock(mutex_);
      first = items_.empty();
      if (first) {
        items_.swap(items);
      } else {
        for (Item& item : items) items_.push_back(std::move(item));
      }
    }
    if (first) wake_.raise();
  }
  // Returns everything posted so far, in order. Clear the wake before this call, or an item posted in between
  // may be overlooked.
  std::vector<Item> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(items_, {});
  }

 private:
  const Wake& wake_;
  std::mutex mutex_;
  std::vector<Item> items_;
};

}  // namespace workpool
