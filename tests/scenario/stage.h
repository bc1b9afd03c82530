// SPDX-License-Identifier: MIT
// A stage for the two real cores: one scheduler and named workers, joined by links without delay that a
// scenario can hold, cut and let go. Nothing happens by chance and time moves only when it is told to.
// Everything that matters is written into a transcript; heartbeats are not, except when they bring a new
// ack.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "dispatcher/core/job_intake.h"
#include "dispatcher/core/scheduler.h"
#include "worker/core/session.h"

namespace workpool::scenario {

struct JobSetup {
  std::string name;
  Requirement requirement;
  std::int32_t priority = 0;
  std::uint32_t retries = 0;
  Duration timeout{0};
  bool by_shell = false;
};

class Stage {
 public:
  dispatcher::SchedulerOptions options;
  std::vector<JobSetup> jobs;

  // ---- the dispatcher ----
  void start_dispatcher();
  void crash_dispatcher();
  void tell(dispatcher::Event&& event) { inbox_.push_back(std::move(event)); }
  void hold_disk(bool held);
  void hold_loads(bool held);

  // ---- workers ----
  // `late`: "lane" or "sink" does not connect before connect_late(); "" = both do at once.
  void add_worker(const std::string& name, const worker::SessionOptions& worker_options,
                  const std::string& late);
  void connect_late(const std::string& name);
  void pause(const std::string& name, bool paused);  // "dispatcher" too
  void hold(const std::string& name, const std::string& link, bool held);
  void lose(const std::string& name, const std::string& link);  // everything held there
  void part(const std::string& name, const std::string& link);  // a part of what is held arrives
  void cut(const std::string& name, const std::string& link);
  // Returns false if that worker does not run it.
  bool end_run(const std::string& name, const std::string& job, worker::AttemptEnd how,
               const Outcome& outcome, bool slot_lost);
  void die(const std::string& name);
  void start_engine(const std::string& name);
  void vanish(const std::string& name);  // the whole worker, without a word
  void stop_worker(const std::string& name);

  void advance(Duration how_long);
  // Lets everything happen that can happen without time.
  void settle();

  // ---- what is so ----
  std::vector<std::string> transcript;
  std::string recorded(const std::string& job) const;  // its status, "" if there is no record
  bool runs(const std::string& name, const std::string& job) const;
  std::uint32_t begun(const std::string& job) const { return begun_.contains(job) ? begun_.at(job) : 0; }
  std::string state_of(const std::string& name) const;  // of a worker: "gone N", "in session", "registering"
  std::optional<int> finished() const { return finished_; }
  std::string check() const;
  dispatcher::Snapshot snapshot() const { return scheduler_->snapshot(now_); }

 private:
  struct Link {
    SessionId session;
    std::deque<std::pair<Header, LaneMessage>> lane;
    std::deque<std::pair<Header, SinkMessage>> sink;
    std::uint64_t next_lane = 1;
    bool lane_up = false;
    bool lane_cut = false;
    bool sink_cut = false;
  };
  struct Run {
    JobOrder order;
    bool begun = false;
  };
  struct Machine {
    worker::SessionOptions options;
    std::unique_ptr<worker::Session> session;
    std::vector<worker::Event> inbox;
    std::vector<Death> deaths;
    std::map<std::uint64_t, Run> runs;
    std::map<SessionId, Link> links;  // that of its session, and older ones that still hold something
    SessionId open;
    Time lease;
    bool paused = false;
    bool lane_held = false;
    bool sink_held = false;
    bool lane_late = false;
    bool sink_late = false;
    std::optional<Hello> hello;
    std::uint32_t hello_try = 0;
    std::optional<int> exited;
  };

  Machine& machine(const std::string& name);
  const Machine& machine(const std::string& name) const;
  dispatcher::LoadedJob line_of(dispatcher::JobNumber number) const;
  void feed_stream();
  std::string job_name(const Key& key) const;
  std::string session_name(SessionId session) const;
  std::string described(const SinkMessage& message) const;
  std::string described(const LaneMessage& message) const;
  void say(const std::string& line);

  bool step_dispatcher(bool idle);
  void take_entry(const dispatcher::JournalEntry& entry);
  bool step_worker(const std::string& name, Machine& machine, bool idle);
  bool deliver(const std::string& name, Machine& machine);
  bool begin_runs(const std::string& name, Machine& machine);
  void carry_out(dispatcher::Action& action);
  void carry_out(const std::string& name, Machine& machine, worker::Action& action);
  void send_lane(SessionId session, LaneMessage&& message);
  void close_lane(SessionId session);
  void sync();
  std::pair<Machine*, Link*> link_of(SessionId session);

  Time now_ = Time{seconds(1000)};
  std::unique_ptr<dispatcher::JobIndex> index_;
  std::unique_ptr<dispatcher::Scheduler> scheduler_;
  std::vector<dispatcher::Event> inbox_;
  std::map<std::string, Machine> machines_;
  std::vector<std::string> order_;
  std::map<Key, std::string> names_;
  dispatcher::NamesKnown granted_;         // the same
  std::map<std::string, Status> durable_;  // over all starts of the dispatcher
  std::set<std::string> withdrawn_;        // a second record of these may come
  using Recorded = std::pair<std::string, Status>;
  std::vector<std::variant<Recorded, dispatcher::GrantedName>> entries_;  // of the journal, in this start
  std::map<std::string, std::uint32_t> begun_;
  std::deque<dispatcher::JobNumber> loads_;
  std::uint64_t next_session_ = 0;
  std::uint64_t told_durable_ = 0;
  bool paused_ = false;
  bool disk_held_ = false;
  bool loads_held_ = false;
  std::optional<int> finished_;
};

}  // namespace workpool::scenario
