// SPDX-License-Identifier: MIT
// A simulated worker machine: the real worker::Session, around it a model of the supervisor (engines, deaths,
// restarts), of the runner (threads that begin and end jobs, the lease) and of the engine's two connections.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "dispatcher/core/key_id.h"
#include "tests/simulation/pipe.h"
#include "tests/simulation/setup.h"
#include "worker/core/session.h"

namespace workpool::simulation {

class World;

// The two connections of a session. Seen from both ends, so it is shared; each end looks whether it is open.
struct Link {
  explicit Link(Timeline& timeline)
      : up(std::make_shared<Pipe>(timeline)), down(std::make_shared<Pipe>(timeline)) {}
  SessionId session;
  std::size_t worker = 0;
  std::shared_ptr<Pipe> up;
  std::shared_ptr<Pipe> down;
  bool open = true;  // at the worker
  bool lane_up = false;
  bool sink_up = false;
  bool sink_broken = false;
  bool lane_broken = false;
  std::deque<std::pair<Header, SinkMessage>> waiting;  // until the sink is connected
};

class WorkerNode {
 public:
  WorkerNode(World& world, std::size_t number);
  WorkerNode(const WorkerNode&) = delete;

  void start();                    // a new supervisor with a new identity
  void come_back(Duration delay);  // the same, later
  bool alive() const { return alive_; }
  WorkerId id() const { return id_; }
  std::optional<int> exit_code() const { return exit_code_; }
  Time exited_at() const { return exited_at_; }
  bool in_session() const { return session_ && session_->active(); }
  const WorkerPlan& plan() const { return plan_; }
  std::size_t number() const { return number_; }
  std::uint64_t incarnation() const { return incarnation_; }
  const std::shared_ptr<Link>& link() const { return link_; }
  Time local() const;
  // How many jobs with this limit run here.
  std::uint32_t running_with(const Limit& limit) const;
  dispatcher::KeyId key() const { return key_; }

  void deliver(worker::Event&& event);
  void answered(std::uint64_t incarnation, std::uint32_t try_number, worker::Event&& event);

  // Faults.
  void kill_engine(const std::string& cause);
  void kill_worker();
  void pause(Duration how_long);
  void ask_to_stop();
  void cut(bool lane, bool sink);
  void dispatcher_gone();  // its sockets are closed
  void stall(bool up, bool down, Duration how_long);
  void lane_is_late() { lane_late_ = true; }
  void no_resources() { no_resources_ = true; }
  bool stalled_up() const { return stalled_up_; }
  bool stalled_down() const { return stalled_down_; }
  Duration delay();

 private:
  struct Run {
    JobOrder order;
    bool handler = false;
    bool begun = false;
    bool killed = false;
    bool unstart = false;
    bool reported = false;
    std::uint64_t turn = 0;  // what was planned before its last change does not happen
    Time began;
  };

  // Handed over, and begun in order.
  struct Lane {
    std::deque<std::uint64_t> waiting;
    std::uint32_t running = 0;
  };

  void start_engine();
  void end_engine();
  void die(const std::string& cause);
  void gone(int code);
  void leave(int code);
  void close_link();
  void wake_loop(Duration delay);
  void loop();
  void carry_out(worker::Action& action);
  void tick();
  // Runs `what` after a while unless the engine has changed by then; after a pause if `waits`.
  void later(Duration delay, bool waits, std::function<void()> what);

  void open(const Welcome& welcome);
  void connect_lane(std::shared_ptr<Link> link);
  void connect_sink(std::shared_ptr<Link> link, std::uint64_t life);
  void tell_lane_lost(std::shared_ptr<Link> link);
  void tell_sink_gone(const std::shared_ptr<Link>& link);
  void send(const Header& header, const SinkMessage& message);
  void put_on_wire(const std::shared_ptr<Link>& link, const Header& header, const SinkMessage& message);

  void plan_stop_of_handler();
  void stop_handler();
  bool is_of_stopped(std::uint64_t token) const;
  void take_run(worker::StartAttempt& start);
  void begin(std::uint64_t token);
  void begin_next(Lane& lane);
  void finish(std::uint64_t token, worker::AttemptEnd how, Outcome outcome = {}, bool slot_lost = false);
  void free_thread(std::uint64_t token);
  void plan_end(std::uint64_t token);
  void kill_run(std::uint64_t token, bool now);
  void unstart(std::uint64_t token);
  void take_out(std::uint64_t token);

  World& world_;
  std::size_t number_;
  const WorkerPlan& plan_;
  WorkerId id_;
  dispatcher::KeyId key_;
  std::uint32_t engine_ = 0;
  RunId last_run_;
  Time started_;                   // the supervisor, by its own clock
  std::uint64_t incarnation_ = 0;  // of the engine; what was meant for an earlier one is not for this
  bool alive_ = false;
  bool coming_ = false;
  bool paused_ = false;
  bool stopping_ = false;
  std::uint64_t pause_number_ = 0;
  std::uint64_t tick_number_ = 0;
  bool loop_planned_ = false;
  bool stalled_up_ = false;
  bool stalled_down_ = false;
  std::uint64_t stall_number_ = 0;
  bool lane_late_ = false;
  bool no_resources_ = false;
  std::string stopped_handler_;  // of this engine
  bool stop_planned_ = false;
  std::uint32_t pending_hello_ = 0;
  std::optional<int> exit_code_;
  Time exited_at_;
  std::unique_ptr<worker::Session> session_;
  std::vector<worker::Event> inbox_;
  worker::Actions actions_;
  std::vector<std::function<void()>> deferred_;
  std::shared_ptr<Link> link_;
  std::vector<std::shared_ptr<Link>> old_links_;  // closed in a stall, with something under way
  std::vector<Death> deaths_;
  Time lease_;
  std::map<std::uint64_t, Run> runs_;
  Lane handlers_;
  Lane commands_;
};

}  // namespace workpool::simulation
