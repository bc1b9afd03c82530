// SPDX-License-Identifier: MIT
// Requirement classes in the order of their best jobs. A binary heap; where each class stands in it is known,
// so a change of one class costs the logarithm of their number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "dispatcher/core/ready_queue.h"

namespace workpool::dispatcher {

// Where each class stands in its heap, by class. Several heaps may share it if no class is in two of them.
using ClassPlaces = std::vector<std::size_t>;

class ClassHeap {
 public:
  static constexpr std::size_t kNowhere = ~std::size_t{0};
  struct Head {
    QueueRank rank;  // of the best job of the class
    std::uint32_t number = 0;
  };

  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  const Head& best() const { return heap_.front(); }  // REQUIRES: not empty
  // The second best one.
  std::optional<QueueRank> second() const {
    if (heap_.size() < 2) return std::nullopt;
    if (heap_.size() == 2 || heap_[1].rank.before(heap_[2].rank)) return heap_[1].rank;
    return heap_[2].rank;
  }

  // Adds the class, or moves it to where it belongs now.
  void set(ClassPlaces& places, std::uint32_t number, const QueueRank& rank) {
    if (places.size() <= number) places.resize(number + 1, kNowhere);
    if (places[number] == kNowhere) {
      places[number] = heap_.size();
      heap_.push_back({rank, number});
      rise(places, heap_.size() - 1);
      return;
    }
    const std::size_t at = places[number];
    const bool better = rank.before(heap_[at].rank);
    heap_[at].rank = rank;
    better ? rise(places, at) : sink(places, at);
  }
  // REQUIRES: the class is in this heap.
  void erase(ClassPlaces& places, std::uint32_t number) {
    const std::size_t at = std::exchange(places[number], kNowhere);
    const Head last = heap_.back();
    heap_.pop_back();
    if (at == heap_.size()) return;
    const bool better = last.rank.before(heap_[at].rank);
    put(places, at, last);
    better ? rise(places, at) : sink(places, at);
  }

 private:
  void put(ClassPlaces& places, std::size_t at, const Head& head) {
    heap_[at] = head;
    places[head.number] = at;
  }
  void rise(ClassPlaces& places, std::size_t at) {
    const Head head = heap_[at];
    for (; at > 0 && head.rank.before(heap_[(at - 1) / 2].rank); at = (at - 1) / 2)
      put(places, at, heap_[(at - 1) / 2]);
    put(places, at, head);
  }
  void sink(ClassPlaces& places, std::size_t at) {
    const Head head = heap_[at];
    for (std::size_t child = 2 * at + 1; child < heap_.size(); child = 2 * at + 1) {
      if (child + 1 < heap_.size() && heap_[child + 1].rank.before(heap_[child].rank)) ++child;
      if (!heap_[child].rank.before(head.rank)) break;
      put(places, at, heap_[child]);
      at = child;
    }
    put(places, at, head);
  }

  std::vector<Head> heap_;
};

// The classes that have work, a worker for it, and no limit that holds it up.
class ClassHeads {
 public:
  bool empty() const { return heap_.empty(); }
  std::size_t size() const { return heap_.size(); }
  bool has(std::uint32_t number) const {
    return number < places_.size() && places_[number] != ClassHeap::kNowhere;
  }
  const ClassHeap::Head& best() const { return heap_.best(); }  // REQUIRES: not empty
  std::optional<QueueRank> second() const { return heap_.second(); }
  void set(std::uint32_t number, const QueueRank& rank) { heap_.set(places_, number, rank); }
  void erase(std::uint32_t number) {
    if (has(number)) heap_.erase(places_, number);
  }

 private:
  ClassHeap heap_;
  ClassPlaces places_;
};

}  // namespace workpool::dispatcher
