// SPDX-License-Identifier: MIT
// What this start has given to the journal, by number, and how far that is durable. Each entry's number is
// issued here, in the order of the Persist actions. Pure.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>

#include "common/base/outcome.h"
#include "dispatcher/core/facts.h"

namespace workpool::dispatcher {

class JournalBook {
 public:
  // The number of the next entry: of a result with this status, or nullopt for anything else.
  std::uint64_t issue(std::optional<Status> result) {
    undurable_.push_back(result);
    if (result) ++undurable_results_;
    return ++issued_;
  }
  std::uint64_t issued() const { return issued_; }

  void changed(const JournalState& state) {
    state_ = state;
    while (undurable_.size() > issued_ - std::min(state.durable, issued_)) {
      if (undurable_.front()) --undurable_results_;
      undurable_.pop_front();
    }
  }
  const JournalState& state() const { return state_; }
  bool is_durable(std::uint64_t entry) const { return entry <= state_.durable; }
  bool all_durable() const { return undurable_.empty(); }

  std::uint64_t undurable_results() const { return undurable_results_; }
  // Calls `visit(status)` for each of them.
  template <class Visit>
  void for_undurable_results(Visit visit) const {
    for (const std::optional<Status>& result : undurable_)
      if (result) visit(*result);
  }

 private:
  JournalState state_;
  std::uint64_t issued_ = 0;
  std::uint64_t undurable_results_ = 0;
  std::deque<std::optional<Status>> undurable_;  // the last entries, in order
};

}  // namespace workpool::dispatcher
