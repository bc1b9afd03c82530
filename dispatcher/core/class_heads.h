// SPDX-License-Identifier: MIT
// The requirement classes that have work and a worker for it, the one with the best job first. A binary heap
// that knows where each class stands in it, so a change of one class costs the logarithm of their number.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "dispatcher/core/ready_queue.h"

namespace workpool::dispatcher {

class ClassHeads {
 public:
  struct Head {
    QueueRank rank;  // of the best job of the class
    std::uint32_t number = 0;
  };

  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  bool has(std::uint32_t number) const { return number < place_.size() && place_[number] != kNowhere; }
  const Head& best() const { return heap_.front(); }  // REQUIRES: not empty
  // The second best one.
  std::optional<QueueRank> second() const {
    if (heap_.size() < 2) return std::nullopt;
    if (heap_.size() == 2 || heap_[1].rank.before(heap_[2].rank)) return heap_[1].rank;
    return heap_[2].rank;
  }

  // Adds the class, or moves it to where it belongs now.
  void set(std::uint32_t number, const QueueRank& rank) {
    if (place_.size() <= number) place_.resize(number + 1, kNowhere);
    if (place_[number] == kNowhere) {
      place_[number] = heap_.size();
      heap_.push_back({rank, number});
      rise(heap_.size() - 1);
      return;
    }
    const std::size_t at = place_[number];
    const bool better = rank.before(heap_[at].rank);
    heap_[at].rank = rank;
    better ? rise(at) : sink(at);
  }
  void erase(std::uint32_t number) {
    if (!has(number)) return;
    const std::size_t at = std::exchange(place_[number], kNowhere);
    const Head last = heap_.back();
    heap_.pop_back();
    if (at == heap_.size()) return;
    const bool better = last.rank.before(heap_[at].rank);
    put(at, last);
    better ? rise(at) : sink(at);
  }

 private:
  static constexpr std::size_t kNowhere = ~std::size_t{0};

  void put(std::size_t at, const Head& head) {
    heap_[at] = head;
    place_[head.number] = at;
  }
  void rise(std::size_t at) {
    const Head head = heap_[at];
    for (; at > 0 && head.rank.before(heap_[(at - 1) / 2].rank); at = (at - 1) / 2)
      put(at, heap_[(at - 1) / 2]);
    put(at, head);
  }
  void sink(std::size_t at) {
    const Head head = heap_[at];
    for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
      if (child + 1 < heap_.size() && heap_[child + 1].rank.before(heap_[child].rank)) ++child;
      if (!heap_[child].rank.before(head.rank)) break;
      put(at, heap_[child]);
      at = child;
    }
    put(at, head);
  }

  std::vector<Head> heap_;
  std::vector<std::size_t> place_;  // in heap_, by class
};

}  // namespace workpool::dispatcher
