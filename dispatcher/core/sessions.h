// SPDX-License-Identifier: MIT
// The lives of sessions: registration, the lane's state, silence, heartbeats and acks (docs/design.md,
// "Registering" and "Heartbeats and the lease"). Decides when a session is over; the ledger then moves its
// jobs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dispatcher/core/blame.h"
#include "dispatcher/core/journal_book.h"
#include "dispatcher/core/ledger.h"
#include "dispatcher/core/outcome_check.h"

namespace workpool::dispatcher {

class Sessions {
 public:
  Sessions(const SchedulerOptions& options, Ledger& ledger, WorkerTable& workers, Blame& blame,
           JournalBook& journal)
      : options_(options), ledger_(ledger), workers_(workers), blame_(blame), journal_(journal) {}

  void hello(HelloReceived&& event, Step& step);
  void lane_bound(const LaneBound& event, Step& step);
  void lane_writable(SessionId id, Step& step);
  void lane_gone(SessionId id, Step& step);
  void sink(SinkReceived&& event, Step& step);
  void part(const PartReceived& event, Step& step);
  // Ends the sessions of these keys. Nothing that comes with one of them counts from now on.
  void revoke(const std::vector<KeyId>& keys, Step& step);
  // More of the journal is durable: raises acks, and starts sessions that waited for their worker's name.
  void durable(Step& step);

  // After the sockets have been drained: who is lost, what is due down the lanes. `pause`: how long the
  // dispatcher itself was away since the last call; that time counts against no session. Not `whole`: the
  // sink has more, so nobody is lost yet.
  void judge(Duration pause, bool whole, Step& step);
  std::optional<Time> next_deadline() const;
  // How often judge() has looked at all sessions.
  std::uint64_t looked() const { return looked_; }
  // How many sessions durable() has looked at, over all calls.
  std::uint64_t looked_for_acks() const { return looked_for_acks_; }

  // Whether a session may get new work.
  bool takes_work(const Session& session, Time now) const;
  // Whether a session on the bench may get a job nevertheless.
  bool may_be_probed(const Session& session, Time now) const;
  bool suspect(const Session& session, Time now) const;
  // Whether a worker was sent away lately because no port was left for its lane.
  bool lacks_ports(Time now) const;

  // Jobs were taken away from it: its worker gets nothing for a while, then one job at a time until one is
  // done.
  void distrust(Session& session, Step& step);
  // Ends a session that still speaks, for what it does not do.
  void end(SessionId id, const LeaveCause& why, Step& step) {
    const bool slow = std::holds_alternative<NeverReady>(why);
    lose(id, why, slow ? Ledger::Loss::kLost : Ledger::Loss::kForItsConduct, step);
  }
  // The run is over: tell everyone. Said again to lanes that become writable later.
  void say_stop(Step& step);
  bool any_session() const { return !workers_.sessions().empty(); }
  // Returns false once a session has been lost, or closed with the rest, while stopping.
  bool every_goodbye_said() const { return !goodbye_missed_; }
  // Closes whatever is left.
  void close_all(Step& step);

 private:
  struct Needed {
    AckLedger::Needs needs;
    bool untrue = false;  // something in the message cannot be
  };

  // Why this HELLO is answered with REFUSED; nullopt if it opens a session, or needs no answer.
  std::optional<RefusalCause> refusal_of(const HelloReceived& event, const Worker* before) const;
  void send_away(Session& session, Step& step);
  bool speaks_for(SessionId id, KeyId key, Step& step);
  std::size_t unready(std::optional<KeyId> key) const;
  void grant_name(Worker& worker, Step& step);
  void start_if_named(Session& session, Step& step);
  void receive(Session& session, std::uint64_t seq, SinkMessage&& message, Step& step);
  Needed receive_results(Session* session, SessionId from, std::uint64_t seq, Results&& results, Step& step);
  void ready(Session& session, const Ready& ready, Step& step);
  void report_out_of_reach(const Session& session, Step& step);
  void report_mute(const Session& session, Step& step);
  bool is_mute(const Session& session, Time now) const;
  void announce(Session& session, Step& step);
  void beat(Session& session, const Beat& beat, Step& step);
  void returned(Session& session, const Returned& returned, Step& step);
  void rest(Session& session, Duration how_long, Step& step);
  void goodbye(Session& session, Step& step);
  void fence(Session& session, bool say_end, Step& step);
  void lose(SessionId id, const LeaveCause& why, Ledger::Loss loss, Step& step);
  // When silence, or a lane that is gone, ends it.
  Time end_of(const Session& session) const;
  Time beat_due(const Session& session) const;
  // A beat goes down now: those of other sessions that are due soon go down with it.
  void beat_with_others(Step& step);
  Time told_due(const Session& session) const;
  Time suspect_at(const Session& session) const;
  Time due(const Session& session) const;
  void await_journal(Session& session);
  void look_by(Time time) { look_at_ = std::min(look_at_, time); }
  void tell(Session& session, Step& step);

  const SchedulerOptions& options_;
  Ledger& ledger_;
  WorkerTable& workers_;
  Blame& blame_;
  JournalBook& journal_;
  OutcomeCheck outcomes_;
  // No session is due before this, so that a step need not look at all of them. What is heard of a session
  // puts its own time off, which is found at the next look.
  Time look_at_ = Time::max();
  std::uint64_t looked_ = 0;
  std::uint64_t looked_for_acks_ = 0;
  // Those with results that are not acked, or a name that is not durable: all that durable() looks at.
  std::vector<SessionId> awaiting_;
  bool stopping_ = false;
  bool goodbye_missed_ = false;
  std::optional<Time> port_missed_;
  std::set<KeyId> revoked_;
  std::set<KeyId> told_of_;  // that peers with this key speak for others
};

}  // namespace workpool::dispatcher
