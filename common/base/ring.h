// SPDX-License-Identifier: MIT
// A queue in one block of memory that grows and is reused; std::deque allocates and frees for every one or
// two elements of a few hundred bytes. Elements need a default constructor: a place that gets free is set to
// the default. Pure.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace workpool {

template <class Item>
class Ring {
 public:
  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  // The `index`th from the front. REQUIRES: index < size().
  Item& operator[](std::size_t index) { return items_[place(index)]; }
  const Item& operator[](std::size_t index) const { return items_[place(index)]; }
  // REQUIRES: not empty.
  Item& front() { return items_[first_]; }
  const Item& front() const { return items_[first_]; }
  const Item& back() const { return items_[place(size_ - 1)]; }

  // Adds a default element and returns it.
  Item& emplace_back() {
    if (size_ == items_.size()) grow();
    return items_[place(size_++)];
  }
  void push_back(Item&& item) { emplace_back() = std::move(item); }
  void pop_front() {
    front() = Item{};
    first_ = (first_ + 1) & (items_.size() - 1);
    --size_;
    if (size_ == 0 && items_.size() > kMost) clear();
  }
  // Moves the elements on the shorter side. REQUIRES: index < size().
  void erase(std::size_t index) {
    if (index < size_ / 2) {
      for (; index > 0; --index) (*this)[index] = std::move((*this)[index - 1]);
      pop_front();
      return;
    }
    for (; index + 1 < size_; ++index) (*this)[index] = std::move((*this)[index + 1]);
    (*this)[index] = Item{};
    --size_;
  }
  // Also frees the memory.
  void clear() {
    items_ = {};
    first_ = size_ = 0;
  }

 private:
  static constexpr std::size_t kLeast = 16;
  static constexpr std::size_t kMost = 2048;  // places kept when it has run empty

  std::size_t place(std::size_t index) const { return (first_ + index) & (items_.size() - 1); }
  void grow() {
    std::vector<Item> wider(items_.empty() ? kLeast : items_.size() * 2);
    for (std::size_t i = 0; i < size_; ++i) wider[i] = std::move((*this)[i]);
    items_ = std::move(wider);
    first_ = 0;
  }

  std::vector<Item> items_;  // its size is 0 or a power of two
  std::size_t first_ = 0;
  std::size_t size_ = 0;
};

}  // namespace workpool
