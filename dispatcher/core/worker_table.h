// SPDX-License-Identifier: MIT
// The workers that this run has seen, and their sessions. A worker is one supervisor start; a session is one
// of its registrations. A worker has at most one session that counts; older ones are gone from here.
//
//   HELLO ──> Binding ──lane bound──> Arriving ──READY──> Naming ──name durable──> Live
//                │                       │                  │                       │
//                └── no port is left ────┴── a gap, or the lane is gone or never writable ──> Fenced
//
// Each of them is closed by a HELLO of its worker, by silence for the worker timeout (Fenced: for 2 s, or
// after 1.5 times the worker timeout) and by GOODBYE; at the end of the run also if its lane is gone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/job.h"
#include "common/base/time.h"
#include "common/wire/messages.h"
#include "dispatcher/core/ack_ledger.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/core/holdings.h"
#include "dispatcher/core/streak.h"

namespace workpool::dispatcher {

// What a worker says of its size is believed up to here. One with more slots gets as many jobs at once, as
// many more each time that it echoes a LANE BEAT, and one more for each that it has finished in its session.
inline constexpr std::uint32_t kBelievedMost = 1024;
// The most slots' worth of jobs that a worker is ever given, including what it gets ahead of need.
inline std::uint64_t slots_held_most(std::uint32_t slots) { return std::max(kBelievedMost, slots); }
// The most that a worker can name: as much again for what has ended there without a result yet.
inline std::uint64_t slots_named_most(std::uint32_t slots) { return 2 * slots_held_most(slots); }

// Work, in bytes, that is on its way down a lane: a worker has received what was given before a LANE BEAT
// that it echoes.
class UnderWay {
 public:
  static constexpr std::uint64_t kMost = 64ull << 20;

  void give(std::uint64_t bytes) { given_ += bytes; }
  void told(Time stamp) {
    if (!mark_) mark_ = Mark{stamp, given_};
  }
  void echoed(Time stamp) {
    if (!mark_ || stamp < mark_->stamp) return;
    heard_ = mark_->given;
    ++echoes_;
    mark_.reset();
  }
  // `held`: the bytes of the jobs that the session holds. What it has finished is on its way no more, and
  // while jobs flow there are no LANE BEATs.
  bool full(std::uint64_t held) const { return held >= kMost && given_ - heard_ >= kMost; }
  std::uint64_t echoes() const { return echoes_; }

 private:
  struct Mark {
    Time stamp;
    std::uint64_t given = 0;
  };
  std::uint64_t given_ = 0;
  std::uint64_t heard_ = 0;
  std::uint64_t echoes_ = 0;
  std::optional<Mark> mark_;
};

struct Binding {};   // WELCOME goes out with its lane
struct Arriving {};  // WELCOME is out; DIED, HELD and old results come before READY
struct Naming {};    // has said READY, and waits for its worker's new name to be durable
struct Live {
  Time since;
};
struct Fenced {  // gets no more work and no frame revives it; its results still count
  Time since;
};
using SessionPhase = std::variant<Binding, Arriving, Naming, Live, Fenced>;

struct Session {
  Session(SessionId new_id, WorkerId of_worker, KeyId of_key, std::string granted, std::uint32_t offered)
      : id(new_id),
        worker(of_worker),
        key(of_key),
        name(std::move(granted)),
        slots(offered),
        held(new_id, of_worker) {}

  const SessionId id;
  const WorkerId worker;
  const KeyId key;            // which its HELLO came with: what comes with another is not of it
  const std::string name;     // of the worker, which never changes in a run
  const std::uint32_t slots;  // as its HELLO said; a later session of the worker may have others
  Holder held;
  SessionPhase phase;
  std::uint64_t result_window = 0;
  std::uint64_t named_in_held = 0;  // entries of all HELD of this session
  bool was_ready = false;
  bool accepting = false;
  bool lane_writable = false;
  bool stop_sent = false;
  bool called_untrue = false;   // it was reported that it says what cannot be true
  bool awaits_journal = false;  // is in Sessions::awaiting_
  bool announced = false;       // reported as joined: it has said READY and its lane is there
  bool emptying = false;        // for a job that must run alone: gets nothing else

  std::uint64_t done = 0;  // jobs recorded from it in this session
  UnderWay under_way;
  // Whether it may be given more, however many slots it says it has free.
  bool may_hold_more() const {
    if (unproven) return held.jobs() == 0;
    return held.jobs() < kBelievedMost * (1 + under_way.echoes()) + done && !under_way.full(held.bytes());
  }

  AckLedger acks;
  Time last_heard;
  Time last_answer;      // when it was admitted, or said anything about jobs
  Time last_progress;    // when a job of it had ended, or was said to run, or a part of a message came
  Time last_echo;        // stamp of the last beat that it has heard
  bool resting = false;  // gets nothing until then: it gave back, or kept, what it had just been given
  Time rests_until;
  bool unproven = false;  // gets one job at a time: some were taken away, and none has been done since
  std::unique_ptr<Streak> streak;  // of failures; nullptr if the last of its jobs did not fail at once
  Time unsuspected_until;          // a job that failed there has failed elsewhere, too
  Time last_told;                  // when acks.tell() was called last
  Duration round_trip{0};          // 0 = not measured

  bool touched = false;    // WorkerTable::touch
  bool suspected = false;  // was silent for too long to get work, when last looked at
};

template <class Phase>
bool in(const Session& session) {
  return std::holds_alternative<Phase>(session.phase);
}

// Deaths whose causes are not known yet: the jobs that may have been the reason.
struct PendingBlame {
  std::uint32_t engine = 0;
  Time deadline;
  std::vector<Handle> candidates;
};

// Gets no work but a probe now and then (bench.h).
struct Benched {
  std::uint32_t requirement = 0;  // of the jobs that fail there
  std::uint64_t serial = 0;       // RequirementClass::serial
  Time probe_at;                  // it gets none before
  Handle probe;                   // the last one; 0 if there was none
  bool probe_was_ok = false;
};

struct Worker {
  WorkerId id;
  KeyId key;                     // of its HELLOs
  std::string fingerprint;       // of that key
  Hello hello;                   // the last one served
  std::string peer;              // which that came from
  std::string name;              // kept free for it until it is granted
  bool named = false;            // granted for the whole run
  std::uint64_t name_entry = 0;  // of the journal; 0 if an earlier start has granted the name
  std::optional<SessionId> session;
  std::uint32_t deaths_counted = 0;  // of engines up to this one
  std::uint64_t done = 0;            // jobs recorded from its sessions that are over
  std::optional<PendingBlame> blame;
  std::uint32_t returns = 0;  // times in a row that it gave back what it had just been given
  bool unproven = false;      // Session::unproven
  bool seen_ready = false;
  // An earlier start of the dispatcher knew it, and its first session in this start is not over: it may speak
  // of jobs that it was given before, of which nothing is remembered here.
  bool from_before = false;
  bool known_before = false;  // the first half of that, for good: what is ok of old jobs may come late
  bool serves_less = false;   // than it once said: it may still have results of the types that it left out
  bool out_of_reach = false;  // reported, and its lane has not come since
  std::optional<Benched> benched;
};

class WorkerTable {
 public:
  Session* find(SessionId id);
  const Session* find(SessionId id) const;
  Worker* find(WorkerId id);
  Worker& worker_of(const Session& session);

  // Granted by an earlier start of the run. The first worker of a name has it.
  void know(const GrantedName& granted);
  // Whether every worker that an earlier start granted a name has come in here since, and said what it runs.
  // Of no account: the local worker, which ended with its dispatcher.
  bool all_back() const;
  // The worker of this HELLO, made if it is new, with the name that it had in this run, or one that no other
  // worker has had. `key` and its fingerprint: of a new one.
  Worker& enrol(const Hello& hello, KeyId key, const std::string& fingerprint);
  // Whether an earlier start of the run granted a name to this worker, which had another key.
  bool is_of_another_key(WorkerId worker, const std::string& fingerprint) const {
    const auto granted = granted_.find(worker);
    return granted != granted_.end() && granted->second.key != fingerprint;
  }
  // How many are remembered of this key.
  std::size_t workers_of(KeyId key) const;
  Session& open(Worker& worker, SessionId id, Time now);
  void close(SessionId id);
  // The worker that has this session, or had it; nullptr if it is not known (any more).
  Worker* worker_with(SessionId id);

  bool meets(const Session& session, const Requirement& requirement) const;
  // Whether it has the handler; whatever else the requirement asks for.
  bool serves(const Session& session, const Requirement& requirement) const;
  // Whether both have the same handlers, labels and slots.
  bool offers_the_same(const Session& one, const Session& other) const;

  // ---- the bench ----
  void bench(Session& session, const Benched& benched);
  void unbench(Session& session);
  bool any_benched() const { return benched_ > 0; }
  // nullptr if it is not.
  const Benched* benched(const Session& session) const;
  void probe(Session& session, Handle job, Time next);
  // A job that it was given under this handle is ok.
  void note_ok(Session& session, Handle job);
  // It is not given work, for how its jobs fail.
  bool is_set_aside(const Session& session) const {
    return (session.streak != nullptr && session.streak->on_trial) || benched(session) != nullptr;
  }
  // It is there and is given work, maybe not at this moment.
  bool is_present(const Session& session) const {
    return (in<Live>(session) || in<Naming>(session)) && session.accepting && !is_set_aside(session);
  }
  // Whether a worker that is present, and none of these, could run such a job.
  bool any_other(const Requirement& requirement, std::span<const WorkerId> but) const;

  // Something has changed about the session, or it is closed: placement looks at it again.
  void touch(Session& session);
  bool any_touched() const { return !touched_.empty(); }
  // Those since the last call, in the order in which that happened; also closed ones.
  std::vector<SessionId> take_touched();

  std::map<SessionId, Session>& sessions() { return sessions_; }
  const std::map<SessionId, Session>& sessions() const { return sessions_; }
  std::map<WorkerId, Worker>& workers() { return workers_; }
  const std::map<WorkerId, Worker>& workers() const { return workers_; }

 private:
  std::string free_name(const std::string& wanted);
  void forget(WorkerId id);
  void count_key(KeyId key, int change);

  std::map<SessionId, Session> sessions_;  // ordered, so that a replay of the same events decides the same
  std::unordered_map<SessionId, Session*> by_id_;
  std::map<WorkerId, Worker> workers_;
  std::map<KeyId, std::size_t> of_key_;    // how many of them; no zeros
  std::deque<WorkerId> unnamed_;           // whose sessions ended without a name, once for each of these
  std::unordered_set<std::string> names_;  // granted, over all starts of the run, and kept free
  std::unordered_map<WorkerId, GrantedName> granted_;  // by earlier starts
  std::unordered_map<std::string, int> next_number_;   // behind a name that several have
  std::unordered_map<SessionId, WorkerId> closed_;     // the last kClosedMost are enough to name late results
  std::deque<SessionId> closed_order_;
  std::vector<SessionId> touched_;
  std::size_t benched_ = 0;  // workers
};

}  // namespace workpool::dispatcher
