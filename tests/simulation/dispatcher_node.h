// SPDX-License-Identifier: MIT
// The simulated dispatcher machine: the real Scheduler on a real JobIndex, around it models of the lanes, of
// the disk (written, then durable, full at times) and of the reader that answers Loads in order. A crash
// throws away everything but what the disk has; the next start replays that.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dispatcher/core/scheduler.h"
#include "tests/simulation/setup.h"
#include "tests/simulation/worker_node.h"

namespace workpool::simulation {

class World;

class DispatcherNode {
 public:
  explicit DispatcherNode(World& world);
  DispatcherNode(const DispatcherNode&) = delete;

  void start();
  bool up() const { return scheduler_ != nullptr; }
  std::uint64_t life() const { return life_; }
  const dispatcher::Scheduler* scheduler() const { return scheduler_.get(); }
  RunId run() const { return run_; }
  Time local() const;
  bool run_over() const { return run_over_; }
  bool signalled() const { return signalled_; }  // in this life
  Time started_at() const { return started_at_; }
  Time last_record_at() const { return last_record_at_; }

  void deliver(dispatcher::Event&& event);
  // The worker's lane has connected. Returns false if there is no such lane (any more).
  bool attach_lane(const std::shared_ptr<Link>& link, bool reuse);
  void lane_lost(SessionId session, const std::shared_ptr<Link>& link);

  // Faults.
  void pause(Duration how_long);
  void crash(Duration down);
  // Its program has ended.
  void stop();
  void crash_within(std::uint64_t actions) { crash_in_ = actions; }
  void slow_disk(Duration how_long) { sync_time_ = how_long; }
  void no_space(Duration how_long);
  void cross_lanes();

 private:
  struct Lane {
    std::vector<std::shared_ptr<Link>> receivers;
    std::deque<std::pair<Header, LaneMessage>> waiting;
    std::uint64_t next_seq = 1;
    std::size_t turn = 0;
    bool was_writable = false;
    bool gone = false;
    std::shared_ptr<Link> crossed;  // who gets the next frames instead
    std::uint32_t crossed_frames = 0;
  };

  void later(Duration delay, std::function<void()> what);  // in this life only
  void wake_loop(Duration delay);
  void loop();
  void tick();
  bool carry_out();
  void carry_out(dispatcher::Action& action);
  void check_core();
  // Whether what the scheduler decides on this event must be a refusal or a report only: it comes with a key
  // that is not that of whom it speaks for.
  bool is_foreign(const dispatcher::Event& event) const;
  void check_foreign(std::size_t from);

  void send(SessionId session, LaneMessage&& message);
  void put_on_wire(Lane& lane, const Header& header, const LaneMessage& message);
  void close_lane(SessionId session, bool say_end);
  void admit(dispatcher::Admit& admit);

  void load(const dispatcher::Load& load);
  void answer_loads();
  void feed_stream();
  void write();
  void sync();
  void tell_writer();

  World& world_;
  RunId run_;
  std::uint64_t life_ = 0;
  std::unique_ptr<dispatcher::JobIndex> index_;
  std::unique_ptr<dispatcher::Scheduler> scheduler_;
  std::vector<dispatcher::Event> inbox_;
  dispatcher::Actions actions_;
  bool paused_ = false;
  Time paused_at_;
  std::uint64_t pause_number_ = 0;
  std::uint64_t tick_number_ = 0;
  bool loop_planned_ = false;
  bool run_over_ = false;
  bool signalled_ = false;
  std::optional<std::uint64_t> crash_in_;
  Time started_at_;
  Time last_record_at_;
  std::uint64_t checks_ = 0;

  std::map<SessionId, Lane> lanes_;
  // Of this life, as they were first seen.
  std::map<SessionId, dispatcher::KeyId> session_keys_;
  std::map<WorkerId, dispatcher::KeyId> worker_keys_;
  std::set<dispatcher::KeyId> revoked_;  // as the scheduler has been told

  std::deque<dispatcher::JobNumber> loads_;
  bool answering_ = false;

  std::uint64_t issued_ = 0;  // entries of the journal, in this start
  std::uint64_t written_ = 0;
  std::uint64_t durable_ = 0;
  bool syncing_ = false;
  bool full_ = false;
  Duration sync_time_ = milliseconds(2);
};

}  // namespace workpool::simulation
