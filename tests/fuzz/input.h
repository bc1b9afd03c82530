// SPDX-License-Identifier: MIT
// A fuzzer's bytes as a row of choices; after the last one every choice is 0.
#pragma once

#include <cstdint>
#include <string_view>

namespace workpool::fuzz {

class Input {
 public:
  explicit Input(std::string_view bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }
  std::uint32_t byte() {
    if (bytes_.empty()) return 0;
    const auto value = static_cast<unsigned char>(bytes_.front());
    bytes_.remove_prefix(1);
    return value;
  }
  // 0 … count - 1.
  std::uint32_t pick(std::size_t count) { return byte() % static_cast<std::uint32_t>(count); }
  // True once in `in` choices.
  bool once(std::uint32_t in) { return byte() % in == in - 1; }
  std::uint64_t word() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = value << 8 | byte();
    return value;
  }
  std::string_view take(std::size_t most) {
    const std::string_view taken = bytes_.substr(0, most);
    bytes_.remove_prefix(taken.size());
    return taken;
  }

 private:
  std::string_view bytes_;
};

}  // namespace workpool::fuzz
