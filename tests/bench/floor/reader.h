// SPDX-License-Identifier: MIT
// Reads jobs again, some way ahead of the loop: parses them, compares them with the index and writes each as
// the part of an order that does not depend on who gets it.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "tests/bench/floor/index.h"
#include "tests/bench/floor/text.h"
#include "tests/bench/floor/threads.h"
#include "tests/bench/floor/wire.h"

namespace workpool::bench {

// Neighbours in the file.
struct Block {
  std::size_t first = 0;  // the number of the first job
  std::size_t count = 0;
  std::string orders;                                     // one after the other
  std::array<std::uint32_t, kJobsAMessage + 1> begins{};  // of each order; then the end of the last
  std::array<Hash, kJobsAMessage> keys{};
  std::array<Hash, kJobsAMessage> specs{};
};

class Reader {
 public:
  static constexpr int kBlocksAhead = 8;

  // `wake` is raised when blocks are there after there were none.
  Reader(int fd, const Index& index, Wake& wake) : fd_(fd), index_(index), wake_(wake) {
    for (int i = 0; i < kBlocksAhead; ++i) free_.put(std::make_unique<Block>());
    thread_ = std::thread([this] { run(); });
  }
  ~Reader() {
    free_.close();
    thread_.join();
  }

  bool take(std::unique_ptr<Block>& block) { return ready_.take_if_any(block); }
  void give_back(std::unique_ptr<Block> block) { free_.put(std::move(block)); }

 private:
  void run() {
    std::unique_ptr<Block> block;
    for (std::size_t next = 0; next < index_.size() && free_.wait_for(block);) {
      fill(*block, next);
      next += block->count;
      if (ready_.put(std::move(block))) wake_.raise();
    }
  }

  void fill(Block& block, std::size_t first) {
    block.first = first;
    block.count = std::min(kJobsAMessage, index_.size() - first);
    const std::uint64_t from = index_.begin_of(first);
    const std::uint64_t to = index_.end_of(first + block.count - 1);
    block.orders.resize(to - from + block.count * 64);
    char* const orders = block.orders.data();
    char* at = orders;
    std::size_t i = 0;
    for_each_line(fd_, from, to, buffer_, [&](std::uint64_t, std::string_view line) {
      const Hash spec = hash_of(line);
      const Hash key = key_of_spec(spec);
      if (!PlainLine::valid(line) || spec.high != index_.spec(first + i) || key.high != index_.key(first + i))
        give_up("the jobs file has changed");
      block.keys[i] = key;
      block.specs[i] = spec;
      block.begins[i++] = static_cast<std::uint32_t>(at - orders);
      *at++ = static_cast<char>(0xc0);  // no id of its own
      at = put_bytes(put_key(put_key(at, key), spec), line);
      at = put_number(put_number(at, 0), 1);  // no timeout, one slot
    });
    block.begins[i] = static_cast<std::uint32_t>(at - orders);
  }

  const int fd_;
  const Index& index_;
  Wake& wake_;
  std::string buffer_;
  Queue<std::unique_ptr<Block>> free_;
  Queue<std::unique_ptr<Block>> ready_;
  std::thread thread_;
};

}  // namespace workpool::bench
