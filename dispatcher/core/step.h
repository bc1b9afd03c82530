// SPDX-License-Identifier: MIT
// One call of Scheduler::step: its time, and where decisions go. A step makes one action of its journal
// entries and one of the lines to read. Jobs for a session are gathered until the step ends, the message is
// full, or something else is sent to that session.
#pragma once

#include <cstddef>
#include <optional>
#include <type_traits>
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
  Load load;  // the lines to read; an action at the end, if there are any

  // What is not for a session that may have been given jobs, not for the journal, and no line to read.
  template <class Decision>
  void decide(Decision&& decision) {
    using Kind = std::remove_cvref_t<Decision>;
    static_assert(!std::is_same_v<Kind, SendLane> && !std::is_same_v<Kind, CloseSession> &&
                  !std::is_same_v<Kind, Persist> && !std::is_same_v<Kind, Load>);
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
