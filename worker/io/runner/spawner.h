// SPDX-License-Identifier: MIT
// A long-lived thread that runs commands: one epoll loop spawns, drains pipes, feeds stdin, waits by pidfd,
// keeps the timeouts of its own children and sees to it that nothing of a job outlives its ending.
//
//   pending -> running -> [exited] reading its pipes, at most 1 s -> killing what it left -> ending
//                 \-> [timeout, kill()] TERM and CONT -> after the grace KILL -> all gone -> ending
//
// What cannot be killed (another user's, by sudo; stuck in the kernel) holds its job up for 5 s at most.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "worker/io/runner/command_start.h"
#include "worker/io/runner/run_services.h"

namespace workpool::worker {

class Spawner {
 public:
  // Throws std::system_error where the system has no room. REQUIRES: `services` outlives it.
  explicit Spawner(RunServices& services);
  // Kills what runs (KILL), waits until it is gone or given up, and joins.
  ~Spawner();
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  // Any thread. The order is counted in services.commands until its ending is handed over.
  void start(StartAttempt&& order);
  void kill(std::uint64_t token, bool now);
  // Orders that have not ended yet.
  std::uint32_t load() const { return load_.load(std::memory_order_relaxed); }

 private:
  enum class Reason : std::uint8_t { kByItself, kTimeout, kStopped };

  struct Run {
    std::uint64_t token = 0;
    Duration timeout{0};
    std::unique_ptr<Command> command;
    std::uint32_t place = 0;
    Reason reason = Reason::kByItself;
    Time started{};
    Time deadline = kNever;    // its timeout; none any more once it has exited or is being ended
    Time kill_at = kNever;     // TERM was sent: KILL then
    Time ended = kNever;       // its own process
    Time read_until = kNever;  // no longer for the end of its pipes
    Time killed = kNever;      // KILL was sent first
    std::vector<pid_t> alive;  // given up: it cannot be killed
    Time wake = kNever;        // look at it again then
    Duration pause{0};         // between looks at processes that are being killed
  };

  struct Message {
    bool is_kill = false;
    bool now = false;
    std::uint64_t token = 0;
    StartAttempt order;
  };

  void loop();
  void take_messages();
  void handle_event(std::uint64_t tag, Time now);
  void start_pending();
  void begin(StartAttempt&& order);
  void begin_kill(std::uint64_t token, bool kill_at_once, Time now);
  void end_early(Run& run, Reason reason, Time kill_at, Time now);
  void fire_timers(Time now);
  void read_pipes(Run& run);
  bool settle(Run& run, Time now);
  bool settle_ended_by_itself(Run& run, Time now);
  bool settle_ended_early(Run& run, Time now);
  bool settle_pipes(Run& run, Time now);
  bool kill_left(Run& run, Time now);
  void look_again(Run& run, Time now);
  void finish(std::uint32_t number);
  void push(AttemptEnded&& ending);
  void sweep(Time now);
  int wait_ms(Time now) const;

  RunServices& services_;
  CommandStarter starter_;
  Descriptor epoll_;
  Descriptor wake_up_;  // eventfd: there are messages
  std::string buffer_;

  std::mutex mutex_;  // protects the two below
  std::vector<Message> messages_;
  bool closing_ = false;
  std::atomic<std::uint32_t> load_{0};

  // Of the thread alone.
  std::deque<StartAttempt> pending_;
  std::unordered_map<std::uint32_t, Run>
      runs_;  // by a number of our own, never used twice while events may name it
  std::uint32_t next_number_ = 0;
  std::vector<std::unique_ptr<Command>> abandoned_;  // could not be killed; to be reaped one day
  std::vector<AttemptEnded> endings_;
  Time next_wake_ = kNever;  // not later than the earliest wake of a run
  Time next_sweep_ = kNever;
  Time last_sweep_{};
  Duration sweep_pause_ = milliseconds(20);  // while nothing runs and something adopted does not go
  std::uint32_t last_place_ = 0;
  bool told_to_end_ = false;  // everything, by the destructor

  std::thread thread_;  // last: everything else is there when it starts
};

}  // namespace workpool::worker
