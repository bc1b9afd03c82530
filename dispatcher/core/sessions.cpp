// SPDX-License-Identifier: MIT
#include "dispatcher/core/sessions.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {
namespace {

// An ack that its worker waits for goes down after this, unless a JOBS takes it along first (at the latest
// 100 ms after a sync).
constexpr Duration kAckDelay = milliseconds(30);
// At once if it covers more than this part of the result window: the worker may be waiting for room in it.
constexpr std::uint64_t kWindowPartToTell = 4;
// A beat that is due within this part of the worker timeout goes out with one that is due now. Those of many
// idle sessions then go out together, and not each in a step of its own that looks at all sessions.
constexpr int kBeatsTogether = 40;
// A READY session whose lane is still not writable then is gone: one lost SYN costs a second, four do not
// happen.
constexpr Duration kLaneWritableLimit = seconds(5);
// A worker whose results do not get through gives its session up after 5 s.
constexpr Duration kSinkLimit = seconds(4);
constexpr Duration kFencedSilence = seconds(2);
// From the first rest of a worker that gives everything back, four times as long each time, to the longest.
constexpr Duration kRestLeast = milliseconds(20);
constexpr Duration kRestForOthers = milliseconds(100);
constexpr Duration kRestMost = seconds(30);
constexpr std::uint32_t kReturnsToTell = 4;

bool is_listening(const Session& session) {
  return session.lane_writable && !std::holds_alternative<Binding>(session.phase);
}

bool waits_for_journal(const Session& session) {
  return session.acks.ack() != session.acks.received() || in<Naming>(session);
}

}  // namespace

// ---- registration, once it has been answered: registration.cpp has what comes before ----

void Sessions::lane_bound(const LaneBound& event, Step& step) {
  Session* session = workers_.find(event.session);
  if (session == nullptr || !in<Binding>(*session)) return;
  if (!event.bound) {
    if (!lacks_ports(step.now)) step.decide(Report{NoPortForWorker{session->name}});
    port_missed_ = step.now;
    // It is told to come later and goes on with what it runs. That is given to others only if it does not
    // come back.
    fence(*session, false, step);
    return;
  }
  session->phase = Arriving{};
  session->last_heard = step.now;
  look_by(due(*session));
}

// It tries on several times a second.
bool Sessions::lacks_ports(Time now) const { return port_missed_ && now < *port_missed_ + seconds(5); }

// ---- lane ----

void Sessions::lane_writable(SessionId id, Step& step) {
  Session* session = workers_.find(id);
  if (session == nullptr) return;
  session->lane_writable = true;
  workers_.touch(*session);
  look_by(due(*session));
  if (in<Live>(*session)) announce(*session, step);
  if (stopping_ && !session->stop_sent) {
    session->stop_sent = true;
    tell(*session, step);
    step.send(id, Stop{});
  }
}

void Sessions::lane_gone(SessionId id, Step& step) {
  Session* session = workers_.find(id);
  if (session == nullptr) return;
  if (stopping_) {
    lose(id, ConnectionClosed{}, Ledger::Loss::kLost, step);
    return;
  }
  fence(*session, false, step);
}

void Sessions::fence(Session& session, bool say_end, Step& step) {
  if (in<Fenced>(session)) return;
  if (say_end) step.send(session.id, End{});
  session.phase = Fenced{step.now};
  session.accepting = false;
  session.emptying = false;
  workers_.touch(session);
  look_by(due(session));
}

// ---- sink ----

// Whether the peer with `key` may speak for this session. Of a session that is not known nothing is at stake.
bool Sessions::speaks_for(SessionId id, KeyId key, Step& step) {
  if (revoked_.contains(key)) return false;
  const Worker* worker = workers_.worker_with(id);
  if (worker == nullptr || worker->key == key) return true;
  if (told_of_.insert(key).second) step.decide(Report{SpokeForAnother{worker->name, key}});
  return false;
}

void Sessions::revoke(const std::vector<KeyId>& keys, Step& step) {
  revoked_.insert(keys.begin(), keys.end());
  std::vector<SessionId> over;
  for (const auto& [id, session] : workers_.sessions()) {
    if (revoked_.contains(session.key)) over.push_back(id);
  }
  for (const SessionId id : over) send_away(*workers_.find(id), step);
}

// Its jobs go to others at once: neither they nor the worker have done anything wrong.
void Sessions::send_away(Session& session, Step& step) {
  if (stopping_) goodbye_missed_ = true;
  const std::uint64_t held = session.held.jobs();
  step.send(session.id, End{});
  step.close(session.id, true);
  step.decide(Report{WorkerLeft{session.name, KeyRevoked{}, held, true, true}});
  ledger_.lose(session, Ledger::Loss::kNone, step);
  workers_.close(session.id);
}

void Sessions::part(const PartReceived& event, Step& step) {
  Session* session = workers_.find(event.session);
  if (session == nullptr || !speaks_for(event.session, event.key, step)) return;
  session->last_heard = session->last_progress = step.now;
  if (std::exchange(session->suspected, false)) workers_.touch(*session);
}

Sessions::Needed Sessions::receive_results(Session* session, SessionId from, std::uint64_t seq,
                                           Results&& results, Step& step) {
  Needed needed;
  step.expect_entries(1 + results.results.size());
  if (Worker* worker = workers_.worker_with(from); worker != nullptr && !results.results.empty()) {
    worker->returns = 0;
    grant_name(*worker, step);
  }
  for (JobResult& result : results.results) {
    needed.needs.bytes += result.window_bytes();
    outcomes_.make_fit(result.outcome);
    const auto record = ledger_.take_result(session, from, seq, std::move(result), step);
    if (!record) {
      needed.untrue = true;
    } else if (*record == AckLedger::kUnknown) {
      ++needed.needs.unnumbered;
    } else {
      needed.needs.record = std::max(needed.needs.record, *record);
    }
  }
  return needed;
}

void Sessions::sink(SinkReceived&& event, Step& step) {
  if (event.header.run != options_.run || !speaks_for(event.header.session, event.key, step)) return;
  Session* session = workers_.find(event.header.session);
  if (session == nullptr) {
    if (auto* results = std::get_if<Results>(&event.message)) {
      receive_results(nullptr, event.header.session, event.header.seq, std::move(*results), step);
    }
    return;
  }
  // Most beats say nothing about its jobs; after a long silence one is what the session gets work again for.
  const bool was_suspected = std::exchange(session->suspected, false);
  if (was_suspected || !std::holds_alternative<Beat>(event.message)) workers_.touch(*session);
  session->last_heard = step.now;
  if (event.header.seq != session->acks.received() + 1) {
    // Something was lost on the way. Its results still count, but nothing can be acked in order any more.
    if (auto* results = std::get_if<Results>(&event.message)) {
      receive_results(session, event.header.session, event.header.seq, std::move(*results), step);
    }
    fence(*session, true, step);
    return;
  }
  receive(*session, event.header.seq, std::move(event.message), step);
}

void Sessions::receive(Session& session, std::uint64_t seq, SinkMessage&& message, Step& step) {
  if (!std::holds_alternative<Beat>(message)) session.last_answer = step.now;
  Needed needed;
  const SessionId id = session.id;
  const std::uint32_t held = session.held.jobs();
  struct Visitor {
    Sessions& self;
    Session& session;
    std::uint64_t seq;
    Needed& needed;
    Step& step;
    void operator()(Died& died) { self.blame_.died(self.workers_.worker_of(session), died, step); }
    void operator()(Held& held) {
      // After READY a worker has nothing that was not given to it in this session.
      if (in<Arriving>(session)) needed.untrue = !self.ledger_.adopt(session, held, step);
    }
    void operator()(Results& results) {
      needed = self.receive_results(&session, session.id, seq, std::move(results), step);
    }
    void operator()(Returned& returned) { self.returned(session, returned, step); }
    void operator()(Ready& ready) { self.ready(session, ready, step); }
    void operator()(Beat& beat) {
      needed.needs.soon = false;
      self.beat(session, beat, step);
    }
    void operator()(Goodbye&) {}
  };
  std::visit(Visitor{*this, session, seq, needed, step}, message);
  if (session.held.jobs() < held) session.last_progress = step.now;
  if (needed.untrue) {
    // Treated like a frame that could not be decoded: it is missing, so nothing after it is acked.
    fence(session, true, step);
    return;
  }
  session.acks.advance(journal_.state().durable);
  session.acks.received(seq, needed.needs);
  await_journal(session);
  if (session.lane_writable) look_by(told_due(session));
  if (std::holds_alternative<Goodbye>(message)) goodbye(*workers_.find(id), step);
}

void Sessions::ready(Session& session, const Ready& ready, Step& step) {
  session.accepting = ready.accepting && !in<Fenced>(session);
  if (!in<Arriving>(session)) return;
  session.phase = Naming{};
  session.was_ready = true;
  ledger_.drop_unconfirmed(session, step);
  Worker& worker = workers_.worker_of(session);
  if (worker.unproven) distrust(session, step);
  grant_name(worker, step);
  start_if_named(session, step);
}

// For a session that is over. If no port was left for it, that has been reported.
void Sessions::report_out_of_reach(const Session& session, Step& step) {
  if (session.lane_writable || in<Binding>(session) || lacks_ports(step.now)) return;
  Worker& worker = workers_.worker_of(session);
  if (std::exchange(worker.out_of_reach, true)) return;
  step.decide(Report{WorkerOutOfReach{session.name}});
}

// The same for a session whose results do not get through.
void Sessions::report_mute(const Session& session, Step& step) {
  if (!is_mute(session, step.now)) return;
  if (std::exchange(workers_.worker_of(session).out_of_reach, true)) return;
  step.decide(Report{WorkerOutOfReach{session.name, true}});
}

// Its lane works, and nothing has come up the sink for so long that the connection for results cannot be
// there.
bool Sessions::is_mute(const Session& session, Time now) const {
  const Duration limit = std::min(kSinkLimit, options_.worker_timeout);
  return session.acks.received() == 0 && session.lane_writable && now >= session.last_heard + limit;
}

void Sessions::announce(Session& session, Step& step) {
  if (std::exchange(session.announced, true)) return;
  Worker& worker = workers_.worker_of(session);
  worker.out_of_reach = false;
  const bool back = std::exchange(worker.seen_ready, true);
  step.decide(Report{WorkerJoined{session.name, session.slots, back}});
}

// A worker that at once returns what it gets, without having been asked, gets nothing for a while, longer
// each time. Otherwise jobs would only be sent to and fro. If it only lacks the time for these, it soon gets
// others.
void Sessions::returned(Session& session, const Returned& returned, Step& step) {
  bool unasked = false;
  bool for_others = false;
  bool no_time = false;
  for (const ReturnedJob& job : returned.jobs) {
    const Ledger::Returns how = ledger_.take_returned(session, job, step);
    unasked |= how == Ledger::Returns::kUnasked;
    for_others |= how == Ledger::Returns::kForOthers;
    no_time |= job.reason == ReturnReason::kNoTime;
  }
  if (!(unasked || for_others) || !session.accepting || session.resting) return;
  Worker& worker = workers_.worker_of(session);
  const Duration longer = std::min(kRestMost, kRestLeast * (1u << std::min(2 * worker.returns, 20u)));
  rest(session, unasked ? longer : kRestForOthers, step);
  if (!unasked || ++worker.returns != kReturnsToTell) return;
  step.decide(Report{ReturnsEverything{session.name, no_time}});
}

void Sessions::rest(Session& session, Duration how_long, Step& step) {
  session.rests_until = step.now + how_long;
  session.resting = true;
  workers_.touch(session);
  look_by(session.rests_until);
}

void Sessions::distrust(Session& session, Step& step) {
  session.unproven = workers_.worker_of(session).unproven = true;
  rest(session, kRestMost, step);
}

void Sessions::beat(Session& session, const Beat& beat, Step& step) {
  bool freed = false;
  for (const Handle handle : beat.ended) freed |= ledger_.note_ended(session, handle, step.now);
  if (freed) workers_.touch(session);
  const bool begun = ledger_.note_running(session, beat, step.now);
  if (freed || begun) session.last_progress = step.now;
  // We never sent a stamp of the future, and the sum below might overflow with one.
  if (beat.echo == 0 || beat.echo > static_cast<std::uint64_t>(step.now.time_since_epoch().count())) return;
  const Time stamped{Duration{static_cast<Duration::rep>(beat.echo)}};
  const Duration measured = step.now - stamped - beat.echo_held;
  if (measured.count() <= 0 || measured > options_.worker_timeout) return;  // not an echo of ours
  session.last_echo = stamped;
  const bool was_full = !session.may_hold_more();
  session.under_way.echoed(stamped);
  if (was_full && session.may_hold_more()) workers_.touch(session);
  session.round_trip =
      session.round_trip.count() == 0 ? measured : session.round_trip + (measured - session.round_trip) / 4;
}

void Sessions::goodbye(Session& session, Step& step) {
  ledger_.lose(session, Ledger::Loss::kNone, step);
  // The END is what the worker waits for; it goes out before the lane is closed.
  step.send(session.id, End{});
  step.close(session.id, true);
  step.decide(Report{WorkerLeft{session.name, SaidGoodbye{}, 0, false}});
  workers_.close(session.id);
}

// ---- silence, beats, acks ----

void Sessions::await_journal(Session& session) {
  if (waits_for_journal(session) && !std::exchange(session.awaits_journal, true))
    awaiting_.push_back(session.id);
}

void Sessions::durable(Step& step) {
  looked_for_acks_ += awaiting_.size();
  std::erase_if(awaiting_, [&](SessionId id) {
    Session* session = workers_.find(id);
    if (session == nullptr) return true;
    const std::uint64_t before = session->acks.ack();
    session->acks.advance(journal_.state().durable);
    if (session->acks.ack() != before) look_by(due(*session));
    if (in<Naming>(*session)) start_if_named(*session, step);
    session->awaits_journal = waits_for_journal(*session);
    return !session->awaits_journal;
  });
}

Time Sessions::end_of(const Session& session) const {
  const Time silent = session.last_heard + options_.worker_timeout;
  if (const auto* fenced = std::get_if<Fenced>(&session.phase)) {
    return std::min(
        {silent, session.last_heard + kFencedSilence, fenced->since + options_.worker_timeout * 3 / 2});
  }
  return silent;
}

Time Sessions::beat_due(const Session& session) const {
  return session.last_told + options_.worker_timeout / 10;
}

Time Sessions::told_due(const Session& session) const {
  const Time beat = beat_due(session);
  if (session.acks.untold_bytes() > session.result_window / kWindowPartToTell) return Time{};
  return session.acks.is_untold() ? std::min(beat, session.last_told + kAckDelay) : beat;
}

void Sessions::tell(Session& session, Step& step) {
  const AckLedger::Told told = session.acks.tell();
  session.last_told = step.now;
  session.under_way.told(step.now);
  step.send(session.id, LaneBeat{static_cast<std::uint64_t>(step.now.time_since_epoch().count()), told.ack,
                                 told.received});
}

// When a session is due for a look, if nothing is heard of it until then.
Time Sessions::due(const Session& session) const {
  Time due = end_of(session);
  if (is_listening(session)) due = std::min(due, told_due(session));
  if (session.resting) due = std::min(due, session.rests_until);
  if (!session.suspected) due = std::min(due, suspect_at(session));
  const auto* live = std::get_if<Live>(&session.phase);
  if (live != nullptr && !session.lane_writable) due = std::min(due, live->since + kLaneWritableLimit);
  return due;
}

void Sessions::beat_with_others(Step& step) {
  for (auto& [id, session] : workers_.sessions()) {
    const bool soon = beat_due(session) - step.now <= options_.worker_timeout / kBeatsTogether;
    if (soon && is_listening(session)) tell(session, step);
  }
}

void Sessions::judge(Duration pause, bool whole, Step& step) {
  if (pause.count() == 0 && step.now < look_at_) return;
  ++looked_;
  bool beat_is_due = false;
  std::vector<std::pair<SessionId, LeaveCause>> lost;
  for (auto& [id, session] : workers_.sessions()) {
    if (pause.count() > 0) {
      // What came since the pause was not delayed by it: nothing was heard in the future.
      const auto shift = [&](Time& time) { time = std::min(time + pause, step.now); };
      shift(session.last_heard);
      if (auto* fenced = std::get_if<Fenced>(&session.phase)) shift(fenced->since);
      if (auto* live = std::get_if<Live>(&session.phase)) shift(live->since);
    }
    if (whole && step.now >= end_of(session)) {
      lost.emplace_back(id, in<Fenced>(session) ? LeaveCause{ConnectionLost{}}
                                                : LeaveCause{SilentFor{options_.worker_timeout}});
      continue;
    }
    if (const auto* live = std::get_if<Live>(&session.phase)) {
      if (!session.lane_writable && step.now >= live->since + kLaneWritableLimit) fence(session, true, step);
    }
    if (session.suspected != suspect(session, step.now)) {
      session.suspected = !session.suspected;
      workers_.touch(session);
    }
    if (session.resting && step.now >= session.rests_until) {
      session.resting = false;
      workers_.touch(session);
    }
    if (!is_listening(session) || step.now < told_due(session)) continue;
    beat_is_due |= step.now >= beat_due(session);
    tell(session, step);
  }
  for (const auto& [id, why] : lost) lose(id, why, Ledger::Loss::kLost, step);
  if (beat_is_due) beat_with_others(step);
  look_at_ = Time::max();
  for (const auto& [id, session] : workers_.sessions()) look_by(due(session));
}

void Sessions::lose(SessionId id, const LeaveCause& why, Ledger::Loss loss, Step& step) {
  Session* session = workers_.find(id);
  CHECK(session != nullptr);
  Worker& worker = workers_.worker_of(*session);
  const std::uint64_t held = session->held.jobs();
  const std::uint32_t engine = worker.hello.engine;
  // Also if STOP was sent: it may have been lost with the lane, and then the worker comes back.
  if (stopping_) goodbye_missed_ = true;
  // Otherwise a worker that wakes from a stall would trust the beats in its socket, and wait for the worker
  // timeout before it comes back.
  if (!stopping_) step.send(id, End{});
  step.close(id, !stopping_);
  if (!stopping_) report_out_of_reach(*session, step);
  if (!stopping_) report_mute(*session, step);
  if (!stopping_ || held > 0) {
    const bool came = session->lane_writable && !is_mute(*session, step.now);
    const bool known = session->announced || came || worker.seen_ready || held > 0;
    step.decide(Report{WorkerLeft{session->name, why, held, true, known}});
  }
  std::vector<Handle> candidates = ledger_.lose(*session, loss, step);
  workers_.close(id);
  blame_.suspect(worker, engine, std::move(candidates), step);
}

std::optional<Time> Sessions::next_deadline() const {
  if (look_at_ == Time::max()) return std::nullopt;
  return look_at_;
}

Time Sessions::suspect_at(const Session& session) const {
  return session.last_heard + options_.worker_timeout * 3 / 10;
}

bool Sessions::suspect(const Session& session, Time now) const { return now >= suspect_at(session); }

bool Sessions::takes_work(const Session& session, Time now) const {
  return in<Live>(session) && session.accepting && session.lane_writable && !suspect(session, now) &&
         !session.resting && !workers_.is_set_aside(session);
}

bool Sessions::may_be_probed(const Session& session, Time now) const {
  return in<Live>(session) && session.accepting && session.lane_writable && !suspect(session, now) &&
         !session.resting && session.held.jobs() == 0 && workers_.benched(session) != nullptr;
}

// ---- the end ----

void Sessions::say_stop(Step& step) {
  stopping_ = true;
  for (auto& [id, session] : workers_.sessions()) {
    if (!session.lane_writable || session.stop_sent) continue;
    session.stop_sent = true;
    tell(session, step);  // the last acks
    step.send(id, Stop{});
  }
}

void Sessions::close_all(Step& step) {
  while (!workers_.sessions().empty()) {
    const SessionId id = workers_.sessions().begin()->first;
    goodbye_missed_ = true;
    ledger_.lose(*workers_.find(id), Ledger::Loss::kNone, step);
    step.close(id, false);
    workers_.close(id);
  }
}

}  // namespace workpool::dispatcher
