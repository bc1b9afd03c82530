// SPDX-License-Identifier: MIT
// Seeded changes of bytes, for replays without a fuzzer: the same seed gives the same changes with every
// compiler.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace workpool::fuzz {

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : state_(seed) {}

  // splitmix64.
  std::uint64_t next() {
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    return x ^ (x >> 31);
  }
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(next() % count); }

  std::string noise(std::size_t size) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) byte = static_cast<char>(next());
    return bytes;
  }

  std::string changed(std::string bytes, const std::vector<std::string>& others) {
    for (std::size_t i = 1 + below(4); i > 0; --i) change(bytes, others);
    return bytes;
  }

 private:
  void change(std::string& bytes, const std::vector<std::string>& others) {
    static constexpr std::string_view kPieces[] = {"\xdd\x7f\xff\xff\xff",
                                                   "\xcf\xff\xff\xff\xff\xff\xff\xff\xff",
                                                   "\xc6\xff\xff\xff\xff",
                                                   "\x91\x91\x91\x91",
                                                   "\xc0",
                                                   "\"",
                                                   "{",
                                                   "]",
                                                   "\\u",
                                                   "\n",
                                                   "\xff",
                                                   "1e999",
                                                   ","};
    const std::size_t at = below(bytes.size() + 1);
    switch (below(6)) {
      case 0:
        if (at < bytes.size()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << below(8)));
        break;
      case 1:
        if (at < bytes.size()) bytes[at] = static_cast<char>(next());
        break;
      case 2:
        bytes.erase(at, 1 + below(4));
        break;
      case 3:
        bytes.insert(at, kPieces[below(std::size(kPieces))]);
        break;
      case 4:
        bytes.insert(at, noise(1 + below(8)));
        break;
      default: {
        const std::string& other = others[below(others.size())];
        bytes = bytes.substr(0, at) + other.substr(below(other.size() + 1));
        break;
      }
    }
  }

  std::uint64_t state_;
};

}  // namespace workpool::fuzz
