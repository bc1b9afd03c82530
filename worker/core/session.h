// SPDX-License-Identifier: MIT
// The worker's judgement: a pure state machine without sockets, clock, processes or threads. The engine's
// loop feeds it events in the order in which they happened and carries out its actions in order. The same
// events at the same times give the same actions. One thread.
//
//   Idle ──retry time──> Registering ──WELCOME──> Active ──STOP, drained, stuck──> Leaving ──END, limit──┐
//    ^                     │     │                  │                                                    v
//    ├──later, no answer───┘     └──refused─────────┼───────────────────────────────────────────────> Left
//    └──gap, END, silence, sink gone, STOP (--keep)─┘
//
// Left is entered from Idle, Registering and Active too: orphaned, no dispatcher to hand over to, a third
// stop or the end of a stop's time.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "worker/core/attempts.h"
#include "worker/core/facts.h"
#include "worker/core/kept_results.h"
#include "worker/core/median_time.h"

namespace workpool::worker {

class Session {
 public:
  explicit Session(const SessionOptions& options);

  // Appends to `actions`. `now` (CLOCK_BOOTTIME) never goes back. After every batch of events comes a
  // Drained.
  void step(Event&& event, Time now, Actions& actions);
  // When a Drained is due at the latest.
  std::optional<Time> next_deadline() const;

  // For the simulator's checks.
  const Attempts& attempts() const { return attempts_; }
  bool active() const { return std::holds_alternative<Active>(state_); }

 private:
  static constexpr std::uint64_t kFirstLane = 1;  // the number of a session's first message down

  struct Idle {
    Time retry_at;
  };
  struct Registering {
    std::uint32_t try_number = 0;
  };
  struct Active {
    Welcome welcome;
    Time opened;
    Time last_heard;
    Time last_beat;
    std::uint64_t next_sink = 1;           // of the next message up
    std::uint64_t next_lane = kFirstLane;  // expected down
    std::uint64_t acked = 0;
    std::deque<std::pair<std::uint64_t, Time>>
        sent;    // sink messages that the dispatcher has not named as received
    Time lease;  // nothing starts after it
    std::uint64_t echo = 0;
    Time echo_received;
    bool accepting = false;           // as last said
    std::uint64_t accepting_seq = 0;  // the READY that said it
    std::uint64_t deaths_seq = 0;     // the DIED that reported the deaths
    bool sink_works = false;          // the dispatcher has named a message of this session as received
    bool fruitful = false;            // jobs came, or the ack of a result
    std::vector<Handle> ended;        // Doubtful, and the dispatcher has not been told
  };
  // GOODBYE is out (or nobody is there to hear it).
  struct Leaving {
    Time limit;
    int code = 0;
    Active active;  // the session that it was said in
  };
  struct Left {};
  using State = std::variant<Idle, Registering, Active, Leaving, Left>;

  // Events.
  void welcomed(const Welcomed& event);
  void refused(const RefusedBy& event);
  void registration_failed(const RegistrationFailed& event);
  void lane(LaneReceived&& event);
  void on_jobs(Jobs&& jobs);
  void on_cancel(const Cancel& cancel);
  void on_recall(const Recall& recall);
  void on_acks(std::uint64_t ack, std::uint64_t received);
  void on_stop();
  void attempt_ended(AttemptEnded&& event);
  void job_progressed(JobProgressed&& event);
  void stop_asked();
  void begin_stop(Say&& why, Time kill_at);
  void stop_now();
  void handler_stopped(const HandlerStopped& event);
  void drained();

  // Decisions.
  void register_again();
  static std::optional<PortsOutOfReach> out_of_reach(const Active& active);
  Time next_try(bool at_once, const Active& ended);
  void end_session(bool at_once);
  bool is_alone() const;
  void count_alone_from(Time since);
  void judge_pause();
  void send(SinkMessage&& message);
  Header next_header(Active& active);
  void send_pages();
  void send_held();
  void send_results();
  void send_beat();
  void name_begun(std::vector<BegunJob>& begun);
  void tell_progress(std::vector<JobProgress>& progress);
  void tell_accepting();
  void start_jobs();
  void give_back(std::vector<ReturnedJob>&& jobs);
  void return_queued();
  void unstart_handed_over();
  void kill_all(bool now, bool foreign);
  void settle_doubts(bool stopped);
  void judge_silence();
  void judge_orphan();
  void judge_stop();
  void judge_time();
  bool fits_time(const JobOrder& order) const;
  void return_what_takes_too_long();
  std::optional<Time> last_call() const;
  std::optional<Time> idle_until() const;
  const MedianTime& times_of(JobKind kind) const {
    return kind == JobKind::kCommand ? command_times_ : handler_times_;
  }
  void judge_lost_slots();
  void complain();
  void say(Say&& what) { out_->emplace_back(std::move(what)); }
  Say first_stop() const;
  void leave(int code);
  void exit(int code);
  const std::optional<Duration>& patience() const;
  bool may_accept() const;
  ReturnedJob returned(const JobOrder& order, ReturnReason reason) const;
  bool has_room_for(const JobOrder& order) const;
  void return_without_resources(const std::string& reason);
  void keep_result(const Attempt& attempt, Outcome&& outcome, Duration ran, Duration waited = Duration(0));

  SessionOptions options_;
  State state_ = Left{};
  Attempts attempts_;
  KeptResults kept_;
  Ring<std::uint64_t> progressed_;  // tokens of attempts with a progress that was not told; in order
  std::vector<Death> deaths_;
  RunId run_;                     // of what is held here; 0 = no dispatcher yet
  Duration worker_timeout_;       // the dispatcher's, from the last WELCOME
  std::uint32_t tries_ = 0;       // HELLOs sent
  Time alone_since_;              // without a dispatcher's sign of life, as far as it counts
  std::uint32_t alone_from_ = 1;  // the first try that was made since
  std::uint32_t failed_ = 0;      // the last try that failed
  std::uint32_t barren_ = 0;      // sessions in a row that were short and of no use
  std::optional<Time> awaited_;   // when the next Drained was due, as of the last
  Time complained_;
  std::optional<AloneCause> alone_cause_;  // as of the last try or session that ended
  Time paused_until_;                      // a spawn failed for want of resources
  int stops_ = 0;
  std::optional<Time> kill_at_;   // end of the grace of a stop
  std::optional<Time> leave_by_;  // leave whatever happens
  bool orphaned_ = false;
  bool awaits_next_run_ = false;  // --keep: the last one is over
  bool sent_away_ = false;        // the last session was ended by an END of its dispatcher
  Time busy_at_;                  // there was something to do
  MedianTime command_times_;      // of jobs that have ended here
  MedianTime handler_times_;
  Time looked_for_time_;  // when the queue was looked through for what takes too long
  static constexpr Duration kReturnTime = seconds(1);  // for a handler whose stop token was set
  std::optional<Time> doubts_until_;  // when the first of them is settled, as of the last step
  std::optional<Time> stuck_since_;   // lost slots let nothing start

  // The step that is under way.
  Time now_;
  Actions* out_ = nullptr;
};

}  // namespace workpool::worker
