// SPDX-License-Identifier: MIT
// A value that may be missing and is kept apart from its owner: for parts that are large and rare, so that
// whoever has none is small and quickly moved. Copied as a value, like std::optional.
#pragma once

#include <memory>
#include <utility>

#include "common/base/check.h"

namespace workpool {

template <class Value>
class Boxed {
 public:
  Boxed() = default;
  Boxed(const Boxed& other) : value_(other.value_ ? std::make_unique<Value>(*other.value_) : nullptr) {}
  Boxed& operator=(const Boxed& other) { return *this = Boxed(other); }
  Boxed(Boxed&&) noexcept = default;
  Boxed& operator=(Boxed&&) noexcept = default;
  ~Boxed() = default;

  // A new one in place of what was there.
  Value& emplace() { return *(value_ = std::make_unique<Value>()); }
  void reset() { value_.reset(); }
  explicit operator bool() const { return value_ != nullptr; }

  // REQUIRES of these: there is one.
  Value& operator*() { return *get(); }
  const Value& operator*() const { return *get(); }
  Value* operator->() { return get(); }
  const Value* operator->() const { return get(); }

  friend bool operator==(const Boxed& left, const Boxed& right) {
    return left.value_ && right.value_ ? *left.value_ == *right.value_ : !left.value_ && !right.value_;
  }

 private:
  Value* get() const {
    CHECK(value_ != nullptr);
    return value_.get();
  }

  std::unique_ptr<Value> value_;
};

}  // namespace workpool
