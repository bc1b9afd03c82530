// SPDX-License-Identifier: MIT
// Registration, silence, stops and the end; what concerns jobs is in session_jobs.cpp.
#include "worker/core/session.h"

#include <algorithm>

#include "common/base/check.h"
#include "common/base/exit_code.h"

namespace workpool::worker {
namespace {

constexpr Duration kRetryLeast = milliseconds(100);
constexpr Duration kRetrySpread = milliseconds(150);
constexpr std::uint32_t kBarrenDoublings = 5;  // 3.2 to 8 s apart
constexpr Duration kComplaintInterval = seconds(10);
constexpr Duration kGoodbyeLimit = seconds(2);
constexpr Duration kPauseLeast = seconds(1);
// A job that has run for so long is named in the next BEAT.
constexpr Duration kWorthNaming = seconds(1);
// A dispatcher takes 2 s at the least. With less a worker would do little but beat.
constexpr Duration kWorkerTimeoutLeast = milliseconds(100);
constexpr Duration kUsualWorkerTimeout = seconds(10);  // until a WELCOME names it
constexpr int kNotAllowed = exit_status(ExitCode::kUnsafe);
constexpr int kDispatcherGone = exit_status(ExitCode::kDispatcherGone);

// The jitter between two registrations is a hash of who and how often, so the core draws no randomness.
Duration jitter(WorkerId worker, std::uint32_t try_number) {
  std::uint64_t x = worker.value + try_number * 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return kRetryLeast + Duration{static_cast<Duration::rep>((x ^ (x >> 31)) %
                                                           static_cast<std::uint64_t>(kRetrySpread.count()))};
}

}  // namespace

Session::Session(const SessionOptions& options)
    : options_(options), attempts_(options.slots), run_(options.run), worker_timeout_(kUsualWorkerTimeout) {}

void Session::step(Event&& event, Time now, Actions& actions) {
  now_ = now;
  out_ = &actions;
  struct Visitor {
    Session& self;
    void operator()(Started&) {
      self.alone_since_ = self.now_;
      self.complained_ = self.now_ - kComplaintInterval;  // the first failure is reported at once
      self.busy_at_ = self.now_;
      self.register_again();
    }
    void operator()(Welcomed& e) { self.welcomed(e); }
    void operator()(RefusedBy& e) { self.refused(e); }
    void operator()(RegistrationFailed& e) { self.registration_failed(e); }
    void operator()(LaneReceived& e) { self.lane(std::move(e)); }
    void operator()(LanePart& e) {
      auto* active = std::get_if<Active>(&self.state_);
      if (active != nullptr && active->welcome.session == e.session) active->last_heard = self.now_;
    }
    void operator()(SinkGone& e) {
      if (auto* active = std::get_if<Active>(&self.state_);
          active != nullptr && active->welcome.session == e.session) {
        self.end_session(false);
      } else if (auto* leaving = std::get_if<Leaving>(&self.state_)) {
        self.exit(leaving->code);
      }
    }
    void operator()(AttemptsEnded& e) {
      for (AttemptEnded& ended : e.attempts) self.attempt_ended(std::move(ended));
    }
    void operator()(JobsProgressed& e) {
      for (JobProgressed& job : e.jobs) self.job_progressed(std::move(job));
    }
    void operator()(DeathsKnown& e) { self.deaths_ = std::move(e.deaths); }
    void operator()(StopAsked&) { self.stop_asked(); }
    void operator()(StopNow&) { self.stop_now(); }
    void operator()(HandlerStopped& e) { self.handler_stopped(e); }
    void operator()(Drained&) { self.drained(); }
  };
  if (!std::holds_alternative<Left>(state_) || std::holds_alternative<Started>(event) ||
      std::holds_alternative<DeathsKnown>(event)) {
    std::visit(Visitor{*this}, event);
  }
  out_ = nullptr;
}

// ---- registration ----

void Session::register_again() {
  state_ = Registering{++tries_};
  out_->emplace_back(Register{{kProtocol, options_.version, options_.worker, options_.engine, tries_,
                               options_.name, options_.slots, options_.handlers, options_.labels}});
}

void Session::welcomed(const Welcomed& event) {
  const auto* registering = std::get_if<Registering>(&state_);
  if (registering == nullptr || registering->try_number != event.try_number) return;
  if (event.welcome.run != run_) {
    // What is held belongs to another run: nothing of it goes up.
    kill_all(false, true);
    kept_.clear();
    settle_doubts(true);
    if (run_.value != 0) {
      if (!deaths_.empty()) out_->emplace_back(ForgetDeaths{deaths_.back().engine});
      deaths_.clear();
    }
    run_ = event.welcome.run;
  }
  awaits_next_run_ = false;
  sent_away_ = false;
  Active active;
  active.welcome = event.welcome;
  active.welcome.worker_timeout = std::max(active.welcome.worker_timeout, kWorkerTimeoutLeast);
  active.opened = active.last_heard = active.last_beat = now_;
  worker_timeout_ = active.welcome.worker_timeout;
  state_ = std::move(active);
  orphaned_ = false;
  out_->emplace_back(OpenSession{event.welcome});
  send_pages();
}

void Session::refused(const RefusedBy& event) {
  const auto* registering = std::get_if<Registering>(&state_);
  if (registering == nullptr || registering->try_number != event.try_number) return;
  alone_cause_ = TurnedAway{event.refused.reason};
  const Refusal code = event.refused.code;
  // The two sides have not proved anything to each other. A worker that has a run, and was not sent away by
  // its dispatcher just now, goes on trying: somebody else may answer there.
  if (event.for_key && run_.value != 0 && !sent_away_) {
    state_ = Idle{now_ + jitter(options_.worker, tries_)};
    return;
  }
  const bool may_change = code == Refusal::kComplete || event.for_key;  // with the next run there
  if (code == Refusal::kLater || (may_change && options_.keep)) {
    if (!event.for_key) count_alone_from(now_);  // it is there: it answers
    state_ = Idle{now_ + jitter(options_.worker, tries_)};
    return;
  }
  say(RefusedForGood{code, event.refused.reason});
  exit(static_cast<int>(code));
}

void Session::registration_failed(const RegistrationFailed& event) {
  const auto* registering = std::get_if<Registering>(&state_);
  if (registering == nullptr || registering->try_number != event.try_number) return;
  if (event.not_allowed && run_.value == 0) {
    say(NotAllowed{event.reason});
    exit(kNotAllowed);
    return;
  }
  // A name that once led to a dispatcher may do so again: as any try that fails, while the patience lasts.
  failed_ = event.try_number;
  alone_cause_ = NoAnswer{event.reason};
  state_ = Idle{now_ + jitter(options_.worker, tries_)};
}

// Of a session that did not work both ways; nullopt if it did.
std::optional<PortsOutOfReach> Session::out_of_reach(const Active& active) {
  if (active.sink_works) return std::nullopt;
  PortsOutOfReach ports{std::nullopt, active.welcome.sink_port};
  if (active.next_lane == kFirstLane) ports.jobs = active.welcome.lane_port;
  return ports;
}

// When to register again after a session. A dispatcher that ends each session at once, say because it refuses
// what this worker repeats, must not be asked hundreds of times a second: the first retry is quick, each
// further one after a session of no use takes twice as long, but never longer than the patience.
Time Session::next_try(bool at_once, const Active& ended) {
  const bool lived = now_ >= ended.opened + ended.welcome.worker_timeout;
  barren_ = lived || ended.fruitful ? 0 : barren_ + 1;
  const Duration pause = jitter(options_.worker, tries_);
  if (barren_ <= 1) return lived || at_once ? now_ : now_ + pause;
  const Time later = now_ + pause * (1 << std::min(barren_ - 1, kBarrenDoublings));
  if (const auto& limit = patience()) return std::min(later, std::max(now_ + pause, alone_since_ + *limit));
  return later;
}

void Session::end_session(bool at_once) {
  const Active active = std::move(std::get<Active>(state_));
  out_->emplace_back(CloseSession{});
  // The dispatcher gives what has not begun to others. What waits in the runner comes back from there; if it
  // stayed, the next session would name it as running, and it could not be called back.
  unstart_handed_over();
  attempts_.session_over();
  kept_.session_over();
  count_alone_from(active.last_heard);
  alone_cause_ = SessionOver{};
  if (const auto ports = out_of_reach(active)) alone_cause_ = *ports;
  state_ = Idle{next_try(at_once, active)};
}

// What this worker runs is said in a HELLO and nowhere else, so it takes a new session to say it again. Jobs
// that run go on: HELD names them.
void Session::handler_stopped(const HandlerStopped& event) {
  if (std::erase(options_.handlers, event.type) == 0) return;
  if (std::holds_alternative<Active>(state_)) {
    end_session(true);
    register_again();
  } else if (std::holds_alternative<Registering>(state_)) {
    register_again();  // the answer to the last one comes too late to count
  }
}

// ---- silence, heartbeats ----

void Session::judge_silence() {
  const auto* active = std::get_if<Active>(&state_);
  if (active != nullptr && now_ >= active->last_heard + active->welcome.worker_timeout) {
    say(DispatcherSilent{active->welcome.worker_timeout, out_of_reach(*active)});
    end_session(true);
  }
  const auto* idle = std::get_if<Idle>(&state_);
  if (idle != nullptr && now_ >= idle->retry_at) register_again();
}

// ---- without a dispatcher ----

bool Session::is_alone() const {
  return std::holds_alternative<Idle>(state_) || std::holds_alternative<Registering>(state_);
}

const std::optional<Duration>& Session::patience() const {
  return run_.value != 0 ? options_.orphan_grace : options_.first_contact;
}

// Time before `since` counts for at most the worker timeout: we were not looking, and the dispatcher may have
// been as frozen as we were. It is not given up before a try made since then has failed, either.
void Session::count_alone_from(Time since) {
  alone_since_ = std::max(since, now_ - worker_timeout_);
  alone_from_ = tries_ + 1;
}

// A suspended machine, SIGSTOP: the tries of before prove nothing now, and what runs here has not run either.
void Session::judge_pause() {
  if (awaited_ && now_ > *awaited_ + kPauseLeast) {
    const Duration pause = now_ - *awaited_;
    if (kill_at_) *kill_at_ += pause;
    if (leave_by_) *leave_by_ += pause;
    busy_at_ += pause;
    // Whoever gave us the time counts the pause.
    if (kill_at_ && options_.leave_at) *kill_at_ = std::min(*kill_at_, *options_.leave_at - kKillTime);
    if (leave_by_ && options_.leave_at) *leave_by_ = std::min(*leave_by_, *options_.leave_at);
  }
  if (is_alone() && awaited_ && now_ > *awaited_ + worker_timeout_) count_alone_from(alone_since_);
}

void Session::judge_orphan() {
  const std::optional<Duration>& limit = patience();
  if (!is_alone() || !limit || now_ < alone_since_ + *limit || failed_ < alone_from_) return;
  if (!orphaned_) {
    orphaned_ = true;
    CHECK(alone_cause_.has_value());  // a try has failed
    say(Orphaned{*limit, *alone_cause_, attempts_.working() > 0});
    kill_all(false, false);
  }
  if (options_.keep) return;
  const bool all_gone = attempts_.working() == 0 && attempts_.doubtful() == 0;
  if (all_gone || now_ >= alone_since_ + *limit + kKillTime) exit(kDispatcherGone);
}

void Session::complain() {
  if (!is_alone() || now_ < complained_ + kComplaintInterval || !alone_cause_ || awaits_next_run_) return;
  complained_ = now_;
  say(WaitingForDispatcher{*alone_cause_});
}

// What a HELD has named has no handle any more.
void Session::name_begun(std::vector<BegunJob>& begun) {
  attempts_.each([&](Attempt& attempt) {
    if (attempt.named || !attempt.is<Attempt::Started>() || attempt.order.handle.value == 0) return;
    const Duration elapsed = attempt.running_for(now_);
    if (elapsed < kWorthNaming || begun.size() >= kBegunMost) return;
    attempt.named = true;
    begun.push_back({attempt.order.handle, elapsed});
  });
}

void Session::send_beat() {
  Active& active = std::get<Active>(state_);
  Beat beat;
  beat.echo = active.echo;
  if (active.echo != 0) beat.echo_held = now_ - active.echo_received;
  beat.ended = std::exchange(active.ended, {});
  name_begun(beat.begun);
  tell_progress(beat.progress);
  active.last_beat = now_;
  send(std::move(beat));
}

void Session::send(SinkMessage&& message) {
  Active* active = std::get_if<Active>(&state_);
  if (auto* leaving = std::get_if<Leaving>(&state_)) active = &leaving->active;
  CHECK(active != nullptr);
  out_->emplace_back(SendSink{next_header(*active), std::move(message)});
}

Header Session::next_header(Active& active) {
  const std::uint64_t seq = active.next_sink++;
  active.sent.emplace_back(seq, now_);
  return {run_, active.welcome.session, seq};
}

// ---- stops and the end ----

void Session::stop_asked() {
  ++stops_;
  // On its way to being replaced: now by nobody.
  if (auto* leaving = std::get_if<Leaving>(&state_))
    leaving->code = leaving->code == kExitRestart ? 0 : leaving->code;
  if (stops_ == 1) {
    begin_stop(first_stop(), now_ + options_.grace);
  } else {
    if (stops_ == 2) say(Cancelling{});
    kill_at_ = now_;
    leave_by_ = std::min(*leave_by_, now_ + kKillTime);
    if (stops_ > 2) exit(0);
  }
}

// What runs is finished until `kill_at`, and nothing is started any more.
void Session::begin_stop(Say&& why, Time kill_at) {
  stops_ = std::max(stops_, 1);
  kill_at_ = kill_at;
  leave_by_ = kill_at + kKillTime;
  say(std::move(why));
  settle_doubts(true);
  tell_accepting();
  return_queued();
}

Say Session::first_stop() const {
  if (attempts_.working() > 0) return Finishing{attempts_.working(), options_.grace};
  if (!kept_.empty() && !std::holds_alternative<Active>(state_))
    return HandingOver{kept_.size(), options_.grace};
  return NothingRuns{};
}

void Session::stop_now() {
  kill_all(true, false);
  exit(0);
}

void Session::judge_stop() {
  if (auto* leaving = std::get_if<Leaving>(&state_)) {
    if (now_ >= leaving->limit) exit(leaving->code);
    return;
  }
  if (stops_ == 0 || std::holds_alternative<Left>(state_)) return;
  if (kill_at_ && now_ >= *kill_at_) {
    kill_at_.reset();
    kill_all(false, false);
  }
  if (now_ >= *leave_by_) {
    exit(0);
    return;
  }
  if (attempts_.working() > 0) return;  // a thread that does not come back is not waited for
  const auto* active = std::get_if<Active>(&state_);
  if (active == nullptr) {
    // Nobody to hand anything to. Results wait for a dispatcher as long as the grace allows.
    if (kept_.empty() || !kill_at_) exit(0);
    return;
  }
  if (!kept_.empty() || active->accepting || active->acked < active->accepting_seq) return;
  leave(0);
}

// GOODBYE goes out; its END, or the end of the connection, is waited for.
void Session::leave(int code) {
  auto* active = std::get_if<Active>(&state_);
  if (active == nullptr) {
    exit(code);
    return;
  }
  Leaving leaving{now_ + kGoodbyeLimit, code, std::move(*active)};
  if (leave_by_) leaving.limit = std::min(leaving.limit, *leave_by_);
  state_ = std::move(leaving);
  send(Goodbye{});
}

void Session::exit(int code) {
  if (std::holds_alternative<Left>(state_)) return;
  state_ = Left{};
  if (!kept_.empty()) say(ResultsLeft{kept_.size()});
  out_->emplace_back(Exit{code});
}

void Session::on_stop() {
  const bool stays = options_.keep && stops_ == 0;
  say(RunIsOver{stays});
  kill_all(true, true);
  attempts_.take_queued();
  kept_.clear();
  settle_doubts(true);
  if (!stays) {
    leave(0);
    return;
  }
  send(Goodbye{});
  end_session(false);
  barren_ = 0;
  std::get<Idle>(state_).retry_at = now_ + jitter(options_.worker, tries_);
  // Nothing here is of a run any more, and no dispatcher is missed.
  if (!deaths_.empty()) out_->emplace_back(ForgetDeaths{deaths_.back().engine});
  deaths_.clear();
  run_ = RunId{};
  awaits_next_run_ = true;
}

// ---- after every batch of events ----

void Session::drained() {
  judge_pause();
  settle_doubts(false);
  judge_silence();
  if (std::holds_alternative<Active>(state_)) {
    tell_accepting();
    return_what_takes_too_long();
    start_jobs();
    send_results();
    const Active& active = std::get<Active>(state_);
    if (!active.ended.empty() || now_ >= active.last_beat + active.welcome.worker_timeout / 10) send_beat();
  }
  judge_time();
  judge_stop();
  judge_lost_slots();
  judge_orphan();
  complain();
  doubts_until_ = attempts_.next_doubt();
  awaited_ = next_deadline();
}

// Each deadline belongs to a judgement that drained() makes when it has come, so none is ever left in the
// past: the loop would spin.
std::optional<Time> Session::next_deadline() const {
  std::optional<Time> next;
  const auto take = [&next](Time time) {
    if (!next || time < *next) next = time;
  };
  if (std::holds_alternative<Left>(state_)) return next;
  if (const auto call = last_call()) take(*call);
  if (const auto until = idle_until()) take(*until);
  if (const auto* leaving = std::get_if<Leaving>(&state_)) return leaving->limit;
  if (const auto* active = std::get_if<Active>(&state_)) {
    take(active->last_heard + active->welcome.worker_timeout);
    take(active->last_beat + active->welcome.worker_timeout / 10);
    if (paused_until_ > now_) take(paused_until_);
  } else {
    if (const auto* idle = std::get_if<Idle>(&state_)) take(idle->retry_at);
    if (alone_cause_ && !awaits_next_run_) take(complained_ + kComplaintInterval);
    if (const auto& limit = patience(); limit && failed_ >= alone_from_) {
      if (!orphaned_) take(alone_since_ + *limit);
      if (!options_.keep) take(alone_since_ + *limit + kKillTime);
    }
  }
  if (kill_at_) take(*kill_at_);
  if (leave_by_) take(*leave_by_);
  if (doubts_until_) take(*doubts_until_);
  if (stuck_since_ && kept_.empty()) take(*stuck_since_ + kReturnTime);
  return next;
}

}  // namespace workpool::worker
