// SPDX-License-Identifier: MIT
// Runs commands: one epoll loop spawns, drains pipes, feeds stdin, waits by pidfd, keeps the timeouts of its
// own children and sees to it that nothing of a job outlives its ending.
//
//   pending -> starting -> running -> [exited] reading its pipes, at most 1 s -> killing what it left ->
//   ending
//                │            \-> [timeout, kill()] TERM and CONT -> after the grace KILL -> all gone ->
//                ending
//                \-> [timeout, kill()] KILL -> back: as above; not back: lost, reported, until it is back
//
// With output files an ending is reported when they are in their places. If the disk does nothing for a
// minute, or at kill(), they are given up: back: reported; not back: lost, reported, until it is back.
//
// A process that cannot be killed (another user's, by sudo; stuck in the kernel) delays its job by at most 5
// s.
//
// The loop belongs to one thread at a time. That thread starts commands itself, but a start may block for as
// long as the file server of a program or a directory does not answer. free_if_stuck() then gives the loop to
// another thread. When the start returns, the first thread posts its result and waits until it is needed
// again.
// Threads that have started something live as long as the spawner: the kernel kills a child when the thread
// that made it ends.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "worker/io/runner/command_services.h"

namespace workpool::worker {

class Spawner : public std::enable_shared_from_this<Spawner> {
 public:
  // Throws std::system_error if the system has no room.
  explicit Spawner(std::shared_ptr<CommandServices> services);
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  // Starts its first thread; throws std::system_error if there is no room for it. Once, before all below.
  void open();
  // Kills what runs (KILL). close() waits until it is gone or given up, and joins. Once, after open().
  void begin_to_close();
  void close();

  // Any thread. The attempt has a slot in the table of commands until its ending is handed over.
  void start(StartAttempt&& attempt);
  void kill(std::uint64_t token, bool now);
  // Gives the loop to another thread if its own has been in one start for too long. Returns whether it was in
  // a start.
  bool free_if_stuck(Time now);

 private:
  enum class Reason : std::uint8_t { kByItself, kTimeout, kStopped, kNoMemory };

  struct Run {
    std::uint64_t token = 0;
    Duration timeout{0};
    std::unique_ptr<Command> command;    // null while it is being started
    StartUnderWay* under_way = nullptr;  // of the start
    std::uint32_t place = 0;
    Reason reason = Reason::kByItself;
    Time started{};
    Time deadline = kNever;    // its timeout; none any more once it has exited or is being ended
    Time kill_at = kNever;     // TERM was sent: KILL then
    Time ended = kNever;       // its own process
    Time read_until = kNever;  // no longer for the end of its pipes
    Time killed = kNever;      // KILL was sent first
    bool lost = false;         // reported, but its start has not come back
    std::vector<int> alive;    // given up: it cannot be killed
    Time wake = kNever;        // look at it again then
    Duration pause{0};         // between looks at processes that are being killed
  };

  // A run that is over but for its output files.
  struct Unsettled {
    AttemptEnded ending;  // has nothing of the files
    std::uint32_t place = 0;
    std::string shown;                  // one of the files
    Reason reason = Reason::kByItself;  // for kTimeout or kStopped the files have been given up
    Time kill_at = kNever;              // give them up then
    Time look_at = kNever;              // whether it gets on
    std::uint64_t steps_seen = 0;       // when that was looked at
    bool lost = false;                  // reported, but its thread has not come back
    bool counts = false;                // its files are to be put into their places
    OutputFiles::Watch watch;           // any thread
    OutputFiles files;                  // this and the next two are of the thread that settles them
    std::optional<OutputFiles::Put> put{};
    std::string no_memory;
  };

  struct Message {
    enum class Kind : std::uint8_t { kStart, kKill, kKillNow, kStarted, kSettled } kind = Kind::kStart;
    StartAttempt attempt;      // of a kill only its token
    std::uint32_t number = 0;  // of a start that is back, or of files that are settled: its run
    CommandStart started;
  };

  // One thread. It runs the loop, or is in a start (or with the files of an ended run) that took too long, or
  // waits to be of use.
  struct Helper {
    std::unique_ptr<Starter> starter;
    StartUnderWay under_way;
    std::thread thread;
    bool is_in_start = false;  // protected by mutex_
  };

  Helper* add_helper();
  void serve(Helper& self);
  void loop(Helper& self);
  bool may_end();
  void post(Message&& message);
  void take_messages();
  void handle_event(std::uint64_t tag, Time now);
  bool start_pending(Helper& self);
  bool begin(Helper& self, StartAttempt&& attempt);
  static CommandStart start_command(Helper& self, const StartAttempt& attempt, std::uint32_t slot);
  bool is_replaced(Helper& self, std::uint32_t number, CommandStart& started);
  void came_back(std::uint32_t number, CommandStart&& started);
  void not_started(std::uint32_t number, CommandStart&& started);
  void begin_kill(std::uint64_t token, bool kill_at_once, Time now);
  void end_early(Run& run, Reason reason, Time kill_at, Time now);
  void end_start(Run& run, Reason reason, Time now);
  void give_up_start(Run& run);
  void fire_timers(Time now);
  void move_timers(Time now);
  void read(Run& run, bool output, bool errors);
  bool settle(Run& run, Time now);
  bool settle_ended_by_itself(Run& run, Time now);
  bool settle_ended_early(Run& run, Time now);
  bool settle_pipes(Run& run, Time now);
  bool kill_left(Run& run, Time now);
  void look_again(Run& run, Time now);
  void wake_at(Run& run, Time when);
  AttemptEnded ending_of(Run& run);
  void finish(std::uint32_t number);
  bool settle_files(Helper& self);
  static void put_or_discard(Unsettled& run);
  void settled(std::uint32_t number);
  void unsettle(std::uint32_t number, AttemptEnded&& ending, OutputFiles&& files, std::uint32_t place);
  void look_at_unsettled(Time now);
  void look_at_files(Unsettled& run, Time now);
  void give_up_files(Unsettled& run, Reason reason, Time now);
  AttemptEnded given_up(Unsettled& run, OutputFiles::Put&& put) const;
  void drop_unwanted(Outcome& outcome) const;
  void report(std::uint32_t place, AttemptEnded&& ending);
  void push(AttemptEnded&& ending);
  void hand_over(Time now);
  void sweep(Time now);
  int wait_ms(Time now) const;

  const std::shared_ptr<CommandServices> services_;
  Descriptor epoll_;
  Descriptor wake_up_;  // eventfd: there are messages

  std::mutex mutex_;  // protects all until the next gap
  std::condition_variable changed_;
  std::vector<Message> messages_;
  bool closing_ = false;
  bool is_over_ = false;  // the loop has ended, for good
  std::vector<std::unique_ptr<Helper>> helpers_;
  Helper* current_ = nullptr;  // runs the loop
  Time in_start_since_ = kNever;

  // Used by the thread that runs the loop.
  std::string buffer_;
  std::deque<StartAttempt> pending_;
  std::unordered_map<std::uint32_t, Run>
      runs_;  // by a number of our own, never used twice while events may name it
  std::uint32_t next_number_ = 0;
  std::unordered_map<std::uint32_t, std::shared_ptr<Unsettled>> unsettled_;  // by the number of the run
  std::deque<std::uint32_t> to_settle_;                                      // those nobody is at
  std::vector<std::unique_ptr<Command>> abandoned_;  // could not be killed; to be reaped one day
  std::vector<AttemptEnded> endings_;
  bool in_a_hurry_ = false;  // one of them must not wait
  Time hand_over_at_ = kNever;
  Time next_wake_ = kNever;  // not later than the earliest wake of a run
  Time looked_{};            // at the timers, the last time
  Time next_sweep_ = kNever;
  Time last_sweep_{};
  Duration sweep_pause_ = milliseconds(20);  // while nothing runs and something adopted does not go
  std::uint32_t last_place_ = 0;
  bool told_to_end_ = false;  // everything
};

}  // namespace workpool::worker
