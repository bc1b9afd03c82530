// SPDX-License-Identifier: MIT
// A slot for the jobs of handlers that programs run: a thread with at most one child per handler, which runs
// one job at a time. Its loop polls the pipes and pidfds of these children. What a child is asked, and whose
// turn it is, is HandlerTalk's to know; this carries it out.
//
//   none -> talking -> ending: TERM, the grace, KILL -> gone: none; its job ends, what was asked behind it is
//                                                       given back to the queue
//
// What was written ahead and not read goes back to the queue, too, when it is to be unstarted, or has waited
// for long.
//
// A child is ended at a job's timeout or kill(), by its own death (then what it left is killed), if it reads
// nothing for too long after its start, if what it writes cannot be understood, after --handler-jobs, and
// once its handler is stopped. Until it is gone no other one of its handler is started here.
#pragma once

#include <poll.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/formats/jobs_file.h"
#include "worker/core/handler_talk.h"
#include "worker/io/process/handler_child.h"
#include "worker/io/runner/child_queue.h"
#include "worker/io/runner/handler_start.h"
#include "worker/io/runner/run_services.h"

namespace workpool::worker {

// What the seats of one runner share; owned by each of their threads.
struct ChildServices {
  ChildServices(std::shared_ptr<RunServices> given, std::function<void(HandlerStopped&&)> tell)
      : run(std::move(given)), stopped(std::move(tell)), queue(run->options.handlers) {}

  const std::shared_ptr<RunServices> run;
  const std::function<void(HandlerStopped&&)> stopped;
  std::shared_ptr<const StartingPoint> from;
  ChildQueue queue;
};

// A child that is being ended.
struct ChildEnding {
  enum class Why : std::uint8_t { kDied, kNeverRead, kTimeout, kStopped, kReplaced };

  Why why = Why::kReplaced;
  Time term_at = kNever;  // kNever once it was sent
  Time kill_at = kNever;
  Time killed = kNever;
  Time look_at{};
  Duration pause{0};
  std::vector<int> alive{};  // what cannot be killed
};

class ChildSeat {
 public:
  // `number`: from 0. Throws std::system_error if the system has no room.
  ChildSeat(std::shared_ptr<ChildServices> services, std::uint32_t number);

  const std::shared_ptr<ChildQueue::Seat>& in_queue() const { return seat_; }
  // Its thread; returns when the queue is closed and its children are gone, or cannot be killed.
  void run();

 private:
  using Ending = ChildEnding;
  using Why = ChildEnding::Why;

  struct Place {
    explicit Place(const RunnerOptions& options) : talk(options.handler_jobs, options.handler_start_most) {}
    std::uint32_t handler = 0;
    HandlerTalk talk;
    std::unique_ptr<HandlerChild> child;    // null: none
    std::optional<Ending> ending{};         // it is being ended
    std::optional<CaptureBuffer> errors{};  // what it wrote to stderr during this job
    Time started{};
    // It has closed stdin or stdout, which it may do on its way to its end.
    Time closed_at = kNever;
    const char* closed = "";
    std::size_t polled_at = 0;
  };

  void wait();
  Time next_timer() const;
  void move_timers(Time now);
  void obey(Time now);
  void look_after_orphans(Time now);
  void serve(Place& place, Time now);
  void judge(Place& place, Time now);
  void look_at_start(Place& place, Time now);

  // Talking.
  void listen(Place& place, Time now, bool to_the_end);
  bool take_lines(Place& place, Time now);
  void answered(Place& place);
  void read_errors(Place& place);
  void add_errors(Place& place, Outcome& outcome);
  void feed(Place& place, Time now);
  void fail_first(Place& place, const std::string& message, Time now);
  void fault(Place& place, const std::string& message, Time now);

  // Ending.
  void end(Place& place, Why why, Time kill_at, Time now);
  void retire(Place& place, Time now);
  void go_on_ending(Place& place, Time now);
  void finish(Place& place, Time now);
  void end_first(Place& place, Ending& ending, Time now);
  void bury(Place& place, AttemptEnded& ending, const Key& key);
  void give_up_start(Place& place, AttemptEnded& ending, const JobOrder& order);
  void count_death(Place& place, const AttemptEnded& ending, const Key& key);
  void stop_handler(const Place& place, std::string why, std::vector<ChildJob>&& left);
  void end_all();

  // Work.
  void take_work(Time now);
  bool has_busy_place(Place*& busy);
  void begin(ChildJob&& job, Time now);
  bool start_child(Place& place, ChildJob& job, Time now);
  void ask(Place& place, ChildJob&& job, Time now);
  bool write_request(Place& place, StartAttempt&& attempt, Time now);
  void take_back(Place& place, bool and_first);
  void note_first(Place& place);
  void free_page_place();
  void not_started(std::uint64_t token) {
    endings_.push_back({token, AttemptEnd::kNotStarted, {}, Duration(0)});
  }

  const std::shared_ptr<ChildServices> services_;
  const std::uint32_t number_;
  const std::shared_ptr<ChildQueue::Seat> seat_;
  HandlerStarter starter_;
  WorkParser parser_;
  std::deque<Place> places_;  // by handler; they cannot be moved
  std::vector<AttemptEnded> endings_;
  std::vector<ChildJob> taken_;
  std::vector<std::uint64_t> unstarts_;  // tokens of jobs that are to end if they have not begun
  std::vector<std::unique_ptr<HandlerChild>> unkillable_;  // to be reaped if they ever end
  std::vector<bool> ready_;
  std::vector<pollfd> polled_;
  std::optional<std::uint32_t> page_place_;  // of the job that runs
  Time looked_{};
  Time orphans_at_ = kNever;  // when to look at those that were there the last time
  bool had_timer_ = false;
};

}  // namespace workpool::worker
