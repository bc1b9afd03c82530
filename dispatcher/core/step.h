// SPDX-License-Identifier: MIT
// One call of Scheduler::step: its time, and where decisions go. A step makes one action each of its journal
// entries, of the jobs of a session, and of the lines to read.
#pragma once

#include <cstddef>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "dispatcher/core/facts.h"
#include "dispatcher/core/jobs_messages.h"

namespace workpool::dispatcher {

class Step {
 public:
  // `jobs` is empty, and is empty again after end().
  Step(Time at, Actions& actions, JobsMessages& jobs) : now(at), actions_(actions), jobs_(jobs) {}
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  const Time now;
  Load load;  // an action of its own at the end, if there is anything to read

  template <class Decision>
  void decide(Decision&& decision) {
    actions_.emplace_back(std::forward<Decision>(decision));
  }
  // What the journal gets from this step, in this order.
  std::vector<JournalEntry>& entries() {
    if (!persist_) {
      persist_ = actions_.size();
      std::get<Persist>(actions_.emplace_back(Persist{})).entries.reserve(expected_);
    }
    return std::get<Persist>(actions_[*persist_]).entries;
  }
  // So many entries may come. They are large, and moving them to more memory costs.
  void expect_entries(std::size_t count) { expected_ = count; }

  // JobsMessages::add.
  JobOrder& give(SessionId session, std::size_t payload_bytes, const AckLedger::Told& told) {
    return jobs_.add(session, payload_bytes, told, actions_);
  }
  // Behind the jobs that this step has given to the session.
  void send(SessionId session, LaneMessage&& message) {
    jobs_.flush(session, actions_);
    actions_.emplace_back(SendLane{session, std::move(message)});
  }
  void close(SessionId session, bool say_end) {
    jobs_.flush(session, actions_);
    actions_.emplace_back(CloseSession{session, say_end});
  }

  // Nothing follows.
  void end() {
    jobs_.flush_all(actions_);
    if (!load.jobs.empty()) actions_.emplace_back(std::move(load));
  }

 private:
  Actions& actions_;
  JobsMessages& jobs_;
  std::optional<std::size_t> persist_;  // the place of the Persist
  std::size_t expected_ = 0;
};

}  // namespace workpool::dispatcher
