// SPDX-License-Identifier: MIT
// Workers that join and leave, in lines for people. A crowd is one line: more than five of a kind within two
// seconds, so that starting a hundred workers does not scroll the rest away. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/time.h"
#include "dispatcher/core/facts.h"

namespace workpool::dispatcher {

class Comings {
 public:
  static constexpr Duration kWindow = seconds(2);  // how late a line may be
  static constexpr std::size_t kOneByOneMost = 5;

  void add(const WorkerJoined& joined, Time now);
  // `stopping`: the jobs of a worker that leaves go to nobody.
  void add(const WorkerLeft& left, bool stopping, Time now);

  // When take() is due; kNever if nothing waits.
  Time due() const { return waiting_.empty() ? kNever : since_ + kWindow; }
  // The lines, in the order of what they tell; a crowd stands where its first one would.
  std::vector<std::string> take();

 private:
  enum class Kind : std::uint8_t { kJoined, kBack, kLeft, kLost };
  struct One {
    Kind kind = Kind::kJoined;
    std::string line;         // if it is told alone
    std::uint64_t slots = 0;  // of a worker that came
    std::string cause;        // of a worker that went
    std::uint64_t jobs = 0;   // that it held
    bool stopping = false;
  };
  static std::string_view words_for(Kind kind);
  std::string crowd(Kind kind) const;
  void add(One&& one, Time now);

  Time since_;
  std::vector<One> waiting_;
};

}  // namespace workpool::dispatcher
