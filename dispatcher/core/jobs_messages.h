// SPDX-License-Identifier: MIT
// Gathers the jobs that a step gives away into JOBS messages, one per session, however the sessions take
// turns: a message costs more than ten jobs in it. Between sessions the order does not matter; what else goes
// to a session goes behind its jobs, so flush() comes before it. Pure.
#pragma once

#include <cstddef>
#include <utility>
#include <variant>
#include <vector>

#include "dispatcher/core/facts.h"

namespace workpool::dispatcher {

class JobsMessages {
 public:
  // `jobs_most`: in one message.
  explicit JobsMessages(std::size_t jobs_most = 256) : jobs_most_(jobs_most) {}

  // Here and below `send(session, message)` is called with each message that is full or due.
  template <class Send>
  void add(Assign&& assign, const Send& send) {
    constexpr std::size_t kBytesMost = 60 * 1024;  // in one message
    constexpr std::size_t kOrderBytes = 96;        // of a job next to its work and id
    Open* const found = find(assign.session);
    Open& open = found != nullptr ? *found : begin(assign.session);
    Jobs& jobs = std::get<Jobs>(open.message);
    const std::size_t bytes = kOrderBytes + assign.order.work.size() + assign.order.id.size();
    if (jobs.jobs.size() == jobs_most_ || open.bytes + bytes > kBytesMost) send_off(open, send);
    jobs.ack = assign.ack;
    jobs.received = assign.received;
    jobs.jobs.push_back(std::move(assign.order));
    open.bytes += bytes;
  }
  template <class Send>
  void flush(SessionId session, const Send& send) {
    if (Open* open = find(session)) send_off(*open, send);
  }
  template <class Send>
  void flush_all(const Send& send) {
    for (std::size_t i = 0; i < used_; ++i) send_off(open_[i], send);
    used_ = last_ = 0;
    if (open_.size() > kKept) open_.resize(kKept);
  }

 private:
  static constexpr std::size_t kKept = 16;  // with the memory that their jobs have taken

  struct Open {
    SessionId session;
    LaneMessage message = Jobs{};
    std::size_t bytes = 0;
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
  template <class Send>
  static void send_off(Open& open, const Send& send) {
    Jobs& jobs = std::get<Jobs>(open.message);
    if (jobs.jobs.empty()) return;
    send(open.session, open.message);
    jobs.jobs.clear();
    open.bytes = 0;
  }

  std::size_t jobs_most_;
  std::vector<Open> open_;
  std::size_t used_ = 0;  // of open_, since the last flush_all
  std::size_t last_ = 0;
};

}  // namespace workpool::dispatcher
