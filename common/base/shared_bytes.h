// SPDX-License-Identifier: MIT
// Bytes that are a part of a larger block. Whoever holds a part keeps the whole block, so that hundreds of
// small payloads cost one allocation and moving one copies nothing. Never changed once made; may be read by
// any thread.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace workpool {

class SharedBytes {
 public:
  SharedBytes() = default;
  // A block of its own.
  explicit SharedBytes(std::string bytes) {
    const auto block = std::make_shared<const std::string>(std::move(bytes));
    bytes_ = *block;
    block_ = block;
  }
  // REQUIRES: `part` lies in `block`.
  SharedBytes(std::shared_ptr<const void> block, std::string_view part)
      : block_(std::move(block)), bytes_(part) {}
  SharedBytes& operator=(std::string bytes) { return *this = SharedBytes(std::move(bytes)); }

  std::string_view view() const { return bytes_; }
  operator std::string_view() const { return bytes_; }  // NOLINT: it stands wherever a string_view can
  std::size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  void clear() { *this = SharedBytes(); }

  friend bool operator==(const SharedBytes& left, const SharedBytes& right) {
    return left.bytes_ == right.bytes_;
  }
  friend bool operator==(const SharedBytes& left, std::string_view right) { return left.bytes_ == right; }

 private:
  std::shared_ptr<const void> block_;
  std::string_view bytes_;
};

// Puts small pieces into blocks of a few KiB, and large ones into blocks of their own. A block is kept for as
// long as one of its pieces is in use, so blocks are small. One thread; the pieces are free to go anywhere.
class SharedBytesPacker {
 public:
  SharedBytes add(std::string_view piece) {
    if (piece.size() > kPieceMost) return SharedBytes(std::string(piece));
    if (block_ == nullptr || kBlockBytes - used_ < piece.size()) {
      block_ = std::make_shared_for_overwrite<char[]>(kBlockBytes);
      used_ = 0;
    }
    char* const at = block_.get() + used_;
    std::memcpy(at, piece.data(), piece.size());
    used_ += piece.size();
    return {block_, {at, piece.size()}};
  }

 private:
  static constexpr std::size_t kBlockBytes = 4096;
  static constexpr std::size_t kPieceMost = kBlockBytes / 4;

  std::shared_ptr<char[]> block_;
  std::size_t used_ = 0;
};

}  // namespace workpool
