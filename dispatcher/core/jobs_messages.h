// SPDX-License-Identifier: MIT
// Gathers the jobs that a step gives away into JOBS messages, one per session, however the sessions take
// turns: a message costs more than ten jobs in it. Between sessions the order does not matter; what else goes
// to a session goes behind its jobs, so flush() comes before it. Pure.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "dispatcher/core/ack_ledger.h"
#include "dispatcher/core/facts.h"

namespace workpool::dispatcher {

class JobsMessages {
 public:
  // `jobs_most`: in one message.
  explicit JobsMessages(std::size_t jobs_most) : jobs_most_(jobs_most) {}

  // A place for one more job of this session, for the caller to fill in before the next call.
  // `payload_bytes`: of its work and id. `told`: what the message says of the session's acks. Here and below
  // a message that is full or due goes to `out`.
  JobOrder& add(SessionId session, std::size_t payload_bytes, const AckLedger::Told& told, Actions& out) {
    constexpr std::size_t kBytesMost = 60 * 1024;  // below kPartBytesMost: a message is one frame
    constexpr std::size_t kOrderBytes = 96;        // more than a job takes next to its work and id
    Open* const found = find(session);
    Open& open = found != nullptr ? *found : begin(session);
    const std::size_t bytes = kOrderBytes + payload_bytes;
    if (open.message.jobs.size() == jobs_most_ || open.bytes + bytes > kBytesMost) send_off(open, out);
    open.message.ack = told.ack;
    open.message.received = told.received;
    open.bytes += bytes;
    if (open.message.jobs.empty()) open.message.jobs.reserve(open.usual_jobs);
    return open.message.jobs.emplace_back();
  }
  void flush(SessionId session, Actions& out) {
    if (Open* open = find(session)) send_off(*open, out);
  }
  void flush_all(Actions& out) {
    for (std::size_t i = 0; i < used_; ++i) send_off(open_[i], out);
    used_ = last_ = 0;
  }

 private:
  struct Open {
    SessionId session;
    Jobs message;
    std::size_t bytes = 0;
    std::size_t usual_jobs = 0;  // in the message before
  };

  // Sessions take turns, so the one after the last is the most likely.
  Open* find(SessionId session) {
    for (std::size_t i = 0; i < used_; ++i) {
      const std::size_t at = last_ + i < used_ ? last_ + i : last_ + i - used_;
      if (open_[at].session == session) return &open_[last_ = at];
    }
    return nullptr;
  }
  Open& begin(SessionId session) {
    if (used_ == open_.size()) open_.emplace_back();
    open_[used_].session = session;
    return open_[last_ = used_++];
  }
  static void send_off(Open& open, Actions& out) {
    if (open.message.jobs.empty()) return;
    open.usual_jobs = open.message.jobs.size();
    out.emplace_back(SendLane{open.session, std::exchange(open.message, {})});
    open.bytes = 0;
  }

  std::size_t jobs_most_;
  std::vector<Open> open_;
  std::size_t used_ = 0;  // of open_, since the last flush_all
  std::size_t last_ = 0;
};

}  // namespace workpool::dispatcher
