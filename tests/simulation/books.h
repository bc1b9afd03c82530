// SPDX-License-Identifier: MIT
// Independent books of a simulated run, and the invariants of workpool over them (docs/simulation.md). They
// are kept from what goes in and out of the two cores and from what really ran, never from what the cores
// believe.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "dispatcher/core/facts.h"
#include "tests/simulation/setup.h"
#include "tests/simulation/unmet_time.h"
#include "worker/core/facts.h"

namespace workpool::simulation {

class Books {
 public:
  explicit Books(const Setup& setup);

  // The first invariant that broke; empty while all hold.
  const std::string& broken() const { return broken_; }
  void broke(const std::string& what);

  // ---- the dispatcher ----
  void dispatcher_started();
  void before_step(const dispatcher::Event& event);
  void after_step(const dispatcher::Actions& actions, std::size_t from, Time now);
  void dispatcher_stood_still(Duration how_long) {
    unmet_.stood_still(how_long);
    needed_since_.reset();
  }
  // The first `count` records of this start are durable.
  void durable(std::uint64_t count);
  // The first `kept` records of this start are in the file; the rest is lost.
  void dispatcher_crashed(std::uint64_t kept);
  std::optional<Status> past(const Key& key) const;  // of a durable record

  // ---- the workers ----
  void worker_opened(WorkerId worker, SessionId session, RunId run, Duration worker_timeout);
  void worker_closed(WorkerId worker);
  void sink_sent(WorkerId worker, const Header& header, Time local);
  void lane_taken(WorkerId worker, const Header& header, const LaneMessage& message);
  void worker_stopped(WorkerId worker) { workers_[worker].stopped = true; }
  void worker_orphaned(WorkerId worker) { workers_[worker].orphaned = true; }
  // A thread or spawner begins it now.
  void started(WorkerId worker, const Key& key, std::uint32_t attempt, Time local);
  void ended(const Key& key, std::uint32_t attempt, Status status);
  void will_fail_for_its_worker(const Key& key);
  void engine_died(const std::vector<Key>& ran);

  // ---- the end ----
  void allow_waste(std::uint64_t executions) { allowed_waste_ += executions; }
  void check_finish(int exit_code, bool stopped_by_signal);
  bool everything_recorded() const;
  // As many are ok as the run was to wait for.
  bool enough_ok() const;
  bool stopped_by_itself() const { return stopped_by_itself_; }
  // The dispatcher that runs now, or ran last, has given up the jobs that were left.
  bool given_up() const { return given_up_; }
  std::uint64_t executions() const { return executions_; }
  std::uint64_t jobs_lost_reported() const { return lost_reports_; }
  // Of this start, when the run was over.
  bool was_connected_at_end(SessionId session) const { return connected_at_end_.contains(session); }
  const JobPlan* plan(const Key& key) const;
  std::uint32_t executions_of(const Key& key) const;
  // The names that a next start finds.
  std::vector<dispatcher::GrantedName> names() const;

 private:
  struct Sent {
    Key key;
    Spec spec;
    std::uint32_t attempt = 0;
    Status status = Status::kOk;
    bool counts = true;  // a failure of an attempt that was given up needs no record
  };
  struct OpenSession {
    WorkerId worker;
    std::string name;
    std::uint32_t engine = 0;
    std::uint32_t slots = 0;
    std::vector<std::string> labels;
    std::vector<std::string> handlers;
    bool ready = false;
    bool accepting = false;
    bool writable = false;
    bool fenced = false;
    std::uint64_t received = 0;
    std::uint64_t acked = 0;
    std::map<std::uint64_t, std::vector<Sent>> results;

    bool connected() const { return ready && !fenced; }
    bool offers(const Requirement& needed) const;
  };
  struct JobEntry {
    const JobPlan* plan = nullptr;
    // In this start of the dispatcher.
    SessionId holder;
    std::uint32_t holder_attempt = 0;
    bool confirmed = true;
    bool cancelled = false;  // its holder was told to stop it
    bool given = false;      // in the holder's session, not taken over into it
    std::uint32_t last_attempt = 0;
    std::uint32_t reusable = 0;  // came back unstarted
    std::uint64_t pending = 0;   // number of its record
    std::uint32_t pending_attempt = 0;
    // For good.
    bool durable = false;
    Status durable_status = Status::kOk;
    std::uint32_t executions = 0;
    std::uint32_t executions_before = 0;  // this start
    std::uint32_t deaths = 0;             // of engines in which it ran
    std::uint32_t losses = 0;             // of sessions that had it
    std::vector<std::pair<std::uint32_t, Status>> outcomes;
    bool came = false;                 // to the dispatcher
    std::uint32_t rewrites = 0;        // lines of it that may be replaced by another one, in this start
    bool open_again = false;           // its last record was withdrawn
    Status last_status = Status::kOk;  // of that record
    std::uint32_t ran_more = 0;        // executions that are no fault of its own
    std::set<WorkerId> failed_on;      // or was taken away from; in this start

    bool settled() const { return (durable || pending != 0) && !open_again; }
  };
  // What is known of how a worker's jobs end, in this start.
  struct Machine {
    std::uint64_t failed_in_a_row = 0;  // within a second each
    bool benched = false;
    Time given_last;  // benched, or given a job since
  };
  struct WorkerEntry {
    SessionId session;
    RunId run;
    Duration worker_timeout{0};
    std::unordered_map<std::uint64_t, Time> sent;
    Time lease;
    bool has_lease = false;
    bool stopped = false;
    bool orphaned = false;
  };

  void sink_received(const dispatcher::SinkReceived& event);
  bool result_received(SessionId session, const JobResult& result);
  void returned_received(SessionId session, const ReturnedJob& returned);
  void assigned(SessionId to, const JobOrder& order);
  void told(SessionId session, std::uint64_t ack, std::uint64_t received);
  void recorded_now(const dispatcher::Record& record);
  void admitted(const dispatcher::Admit& admit);
  void closed(SessionId session);
  bool has_unheard_result() const;
  void look_for_unmet(Time now);
  void machine_ended(const OpenSession& session, const JobEntry& entry, const JobResult& result);
  void withdrawn(const dispatcher::FailuresWithdrawn& report);
  void benched(const std::string& name, bool is_benched);
  void look_at_bench();
  bool is_needed(const OpenSession& session) const;
  void stopped_by_itself(const dispatcher::RunEnd& why);
  std::optional<int> exit_code_by_rule(bool all) const;
  void check_cannot_start(const JobEntry& entry);
  void taken_away(JobEntry& entry);
  void gave_up(Time now);
  void settle_held(const dispatcher::Actions& actions, std::size_t from);
  bool cancelled(const dispatcher::Actions& actions, std::size_t from, SessionId session,
                 const Key& key) const;
  JobEntry* job(const Key& key);

  const Setup& setup_;
  std::string broken_;
  std::map<Key, JobEntry> jobs_;
  std::map<SessionId, OpenSession> sessions_;
  std::map<WorkerId, WorkerEntry> workers_;
  std::map<WorkerId, std::pair<SessionId, std::uint32_t>> live_;  // session and engine of each worker
  std::map<std::string, WorkerId> names_;                         // granted and durable, over all starts
  std::set<std::tuple<WorkerId, Key, std::uint32_t>> given_;
  std::map<WorkerId, Machine> machines_;
  bool any_benched_ = false;
  std::optional<Time> needed_since_;  // somebody on the bench
  bool ending_ = false;               // told to stop, or over
  bool stopped_by_itself_ = false;
  dispatcher::Tally tally_;  // of this start: what has ended, without what was withdrawn
  Time now_;
  std::vector<dispatcher::JournalEntry> pending_;  // the journal of this start
  std::uint64_t durable_ = 0;
  std::uint64_t heard_ = 0;            // entries of this start that the dispatcher knows to be durable
  bool unheard_at_end_ = false;        // when it finished, a result was durable that it had not heard of
  Hello hello_;                        // of the event that is under way
  std::map<SessionId, Hello> hellos_;  // by the session that would answer it, in this start
  SessionId held_from_;
  std::vector<HeldJob> held_;
  std::set<SessionId> connected_at_end_;
  UnmetTime unmet_;
  bool input_ended_ = false;
  bool given_up_ = false;
  std::uint64_t executions_ = 0;
  std::uint64_t allowed_waste_ = 0;
  std::uint64_t lost_reports_ = 0;
};

}  // namespace workpool::simulation
