// SPDX-License-Identifier: MIT
// The jobs of handlers that programs run, until a seat takes them, and what the seats are told. A seat is a
// thread that runs one such job at a time; there are as many as slots. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string_view>
#include <vector>

#include "common/formats/handler_program.h"
#include "common/io/mailbox.h"
#include "worker/core/facts.h"
#include "worker/core/handler_talk.h"
#include "worker/io/runner/executor.h"

namespace workpool::worker {

struct ChildJob {
  StartAttempt attempt;
  std::uint32_t handler = 0;  // its place in the list of programs
};

class ChildQueue {
 public:
  struct Kill {
    std::uint64_t token = 0;
    KillWhen when = KillWhen::kGently;
  };
  // What is written ahead is kept twice, here and in a pipe or before it.
  static constexpr std::size_t kAheadBytes = 256 * 1024;
  enum class Child : std::uint8_t { kNone, kTalks, kEnds };
  // What others know of a seat; all but `wake` is protected by the queue's lock.
  struct Seat {
    explicit Seat(std::size_t handlers) : children(handlers) {}
    Wake wake;
    std::vector<Kill> kills;
    std::vector<Child> children;  // by handler
    bool is_idle = false;
  };

  explicit ChildQueue(std::vector<HandlerProgram> programs)
      : programs_(std::move(programs)), states_(programs_.size()) {}

  const std::vector<HandlerProgram>& programs() const { return programs_; }
  // The place of the handler in that list; its size if there is none.
  std::uint32_t find(std::string_view type) const;

  // Queues them and wakes idle seats. What belongs to a stopped handler is left in `jobs`. Returns for how
  // many there is no idle seat.
  std::size_t add(std::vector<ChildJob>& jobs);
  void add_seat(const std::shared_ptr<Seat>& seat);

  // For a seat: takes the first job whose handler is `ready` there; without one the seat counts as idle until
  // it is woken.
  bool take(Seat& seat, const std::vector<bool>& ready, ChildJob& job);
  // For a seat that is at it already: takes the next jobs as long as they are of `handler`, at most `most`
  // and not many more bytes than kAheadBytes; and, of several `slots`, no more than half of its share,
  // because what its child has read waits for that child, however long.
  void take_more(std::uint32_t handler, std::size_t most, std::size_t slots, std::vector<ChildJob>& jobs);
  // Puts jobs that have not begun back to the front, in their order, unless a kill for one waits in the box
  // of `seat`; that one, and what belongs to a stopped handler, is left in `jobs`.
  void give_back(Seat& seat, std::vector<ChildJob>& jobs);
  std::vector<Kill> take_kills(Seat& seat);
  void note_child(Seat& seat, std::uint32_t handler, Child child);

  // Removes the job if it waits here; returns whether it did. Else all seats are told.
  bool kill(Kill kill);

  // A child of `handler` died with a job in hand. Returns true if this was one too many: the handler is
  // stopped, and `left` gets its jobs.
  bool died(std::uint32_t handler, const Key& key, std::vector<ChildJob>& left);
  void answered(std::uint32_t handler);
  bool is_stopped(std::uint32_t handler) const { return states_[handler].stopped.load(); }

  void close();
  bool is_closing() const;

 private:
  struct HandlerState {
    HandlerDeaths deaths;
    std::atomic<bool> stopped{false};  // written under the lock
  };
  bool wake_one(std::uint32_t handler);
  void set_idle(Seat& seat, bool idle);

  const std::vector<HandlerProgram> programs_;
  mutable std::mutex mutex_;
  std::deque<HandlerState> states_;  // they cannot be moved
  std::deque<ChildJob> jobs_;
  std::vector<std::shared_ptr<Seat>> seats_;
  std::size_t idle_ = 0;  // of them
  bool closing_ = false;
};

}  // namespace workpool::worker
