// SPDX-License-Identifier: MIT
// The part of the session machine that concerns jobs and results.
#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "worker/core/session.h"

namespace workpool::worker {
namespace {

constexpr std::uint64_t kKeptMost = 64ull << 20;  // bytes of results; over it nothing new is accepted
constexpr Duration kDoubtTime = milliseconds(250);
constexpr Duration kResourcePause = seconds(1);
constexpr std::size_t kHeldPage = 1000;      // entries, about 45 bytes each: under 64 KiB
constexpr std::size_t kReturnedPage = 1000;  // about 55 bytes each
constexpr std::size_t kQueuedMost = 16 * 1024;
constexpr std::uint64_t kQueuedBytesMost = 64 << 20;
constexpr std::uint64_t kWorkBytesMost = 2 << 20;
constexpr std::size_t kProgressBytesMost = 16 * 1024;  // in one BEAT: an eighth of a thin line
constexpr std::size_t kProgressBytesAround = 24;       // the text of each

}  // namespace

// ---- a session's first messages ----

void Session::send_pages() {
  if (!deaths_.empty()) {
    std::get<Active>(state_).deaths_seq = std::get<Active>(state_).next_sink;
    send(Died{deaths_});
  }
  send_held();
  send_results();
  tell_accepting();
}

void Session::send_held() {
  // What is being killed is no more to be counted on; the same job may run here again already.
  Held held;
  attempts_.each([&](const Attempt& attempt) {
    const bool held_here = attempt.is<Attempt::Started>() || attempt.is<Attempt::Doubtful>();
    if (!held_here || attempt.foreign) return;
    held.jobs.push_back(
        {attempt.order.key, attempt.order.spec, attempt.order.attempt, attempt.running_for(now_)});
    if (held.jobs.size() == kHeldPage) send(std::exchange(held, Held{}));
  });
  send(std::move(held));
}

// ---- down the lane ----

void Session::lane(LaneReceived&& event) {
  if (auto* leaving = std::get_if<Leaving>(&state_)) {
    if (event.header.session == leaving->active.welcome.session &&
        std::holds_alternative<End>(event.message)) {
      exit(leaving->code);
    }
    return;
  }
  auto* active = std::get_if<Active>(&state_);
  if (active == nullptr) return;
  const bool ours = event.header.run == run_ && event.header.session == active->welcome.session;
  if (!ours || event.header.seq != active->next_lane) {
    end_session(false);
    return;
  }
  ++active->next_lane;
  active->last_heard = now_;
  struct Visitor {
    Session& self;
    void operator()(Jobs& m) {
      self.on_acks(m.ack, m.received);
      self.on_jobs(std::move(m));
    }
    void operator()(Cancel& m) { self.on_cancel(m); }
    void operator()(Recall& m) { self.on_recall(m); }
    void operator()(LaneBeat& m) {
      auto& session = std::get<Active>(self.state_);
      session.echo = m.stamp;
      session.echo_received = self.now_;
      self.on_acks(m.ack, m.received);
    }
    void operator()(Stop&) { self.on_stop(); }
    void operator()(End&) {
      self.end_session(true);
      self.sent_away_ = true;
    }
  };
  std::visit(Visitor{*this}, event.message);
}

void Session::on_acks(std::uint64_t ack, std::uint64_t received) {
  auto& active = std::get<Active>(state_);
  if (ack >= active.next_sink || received >= active.next_sink)
    return;  // of messages never sent: not to be believed
  while (!active.sent.empty() && active.sent.front().first <= received) {
    // It was sent then and has arrived: the dispatcher has counted us alive since.
    active.lease = active.sent.front().second + active.welcome.worker_timeout / 2;
    active.sent.pop_front();
  }
  out_->emplace_back(SetLease{active.lease});
  if (received > 0 && !std::exchange(active.sink_works, true)) {
    // Both ways work: only now has it joined.
    complained_ = now_;
    say(Joined{active.welcome.name});
  }
  if (ack <= active.acked) return;
  active.acked = ack;
  const std::uint64_t kept = kept_.bytes();
  kept_.acked(ack);
  if (kept_.bytes() < kept) active.fruitful = true;
  if (active.deaths_seq != 0 && ack >= active.deaths_seq && !deaths_.empty()) {
    out_->emplace_back(ForgetDeaths{deaths_.back().engine});
    deaths_.clear();
  }
}

// Whether it can ever start here, and may be queued until then. The bounds are far beyond what our own
// dispatcher gives ahead; a payload has 2 MiB at the most.
bool Session::has_room_for(const JobOrder& order) const {
  const std::size_t jobs_most = std::max<std::size_t>(kQueuedMost, 4 * std::size_t{options_.slots});
  const std::uint64_t bytes_most = std::max(kQueuedBytesMost, std::uint64_t{options_.slots} * kWorkBytesMost);
  const bool knows_kind = order.kind == JobKind::kCommand || order.kind == JobKind::kHandler;
  return knows_kind && order.slots <= options_.slots && attempts_.queued() < jobs_most &&
         attempts_.queued_bytes() + order.work.size() <= bytes_most;
}

void Session::on_jobs(Jobs&& jobs) {
  if (!jobs.jobs.empty()) std::get<Active>(state_).fruitful = true;
  const bool accepts = may_accept();
  std::vector<ReturnedJob> back;
  for (JobOrder& order : jobs.jobs) {
    const bool fits = fits_time(order);
    if (accepts && fits && has_room_for(order)) {
      attempts_.queue(std::move(order), now_);
    } else {
      back.push_back(returned(order, fits ? ReturnReason::kUnstarted : ReturnReason::kNoTime));
    }
  }
  give_back(std::move(back));
}

void Session::on_cancel(const Cancel& cancel) {
  std::vector<ReturnedJob> back;
  for (const JobRef& ref : cancel.jobs) {
    Attempt* const attempt = attempts_.find(ref);
    if (attempt == nullptr) continue;
    if (attempt->is<Attempt::Queued>() || attempt->is<Attempt::Doubtful>()) {
      const bool ran = attempt->is<Attempt::Doubtful>();
      if (!attempt->foreign)
        back.push_back(returned(attempt->order, ran ? ReturnReason::kStopped : ReturnReason::kUnstarted));
      attempts_.end(*attempt, now_);
    } else if (attempt->is<Attempt::Started>()) {
      attempts_.kill(*attempt);
      out_->emplace_back(KillAttempt{attempt->token, false, attempt->order.kind});
    }
  }
  give_back(std::move(back));
}

void Session::on_recall(const Recall& recall) {
  std::vector<ReturnedJob> back;
  for (const JobRef& ref : recall.jobs) {
    Attempt* const attempt = attempts_.find(ref);
    if (attempt == nullptr) continue;
    if (attempt->is<Attempt::Queued>()) {
      back.push_back(returned(attempt->order, ReturnReason::kUnstarted));
      attempts_.end(*attempt, now_);
    } else if (attempt->is<Attempt::Started>()) {
      out_->emplace_back(UnstartAttempt{attempt->token, attempt->order.kind});
    }
  }
  give_back(std::move(back));
}

// ---- running ----

bool Session::may_accept() const {
  return stops_ == 0 && kept_.bytes() + attempts_.doubtful_bytes() < kKeptMost && now_ >= paused_until_;
}

void Session::tell_accepting() {
  auto* active = std::get_if<Active>(&state_);
  if (active == nullptr) return;
  const bool accepting = may_accept();
  if (active->accepting_seq != 0 && active->accepting == accepting) return;
  active->accepting = accepting;
  active->accepting_seq = active->next_sink;
  send(Ready{accepting});
}

void Session::start_jobs() {
  const auto& active = std::get<Active>(state_);
  if (stops_ > 0 || now_ > active.lease || now_ < paused_until_) return;
  StartAttempts starts;
  while (attempts_.start_next(now_, starts.attempts)) {
  }
  if (!starts.attempts.empty()) out_->emplace_back(std::move(starts));
}

ReturnedJob Session::returned(const JobOrder& order, ReturnReason reason) const {
  return {order.handle, order.key, order.spec, order.attempt, reason};
}

// In pages, so that none needs more than one frame.
void Session::give_back(std::vector<ReturnedJob>&& jobs) {
  if (!std::holds_alternative<Active>(state_)) return;
  for (std::size_t from = 0; from < jobs.size(); from += kReturnedPage) {
    const std::size_t to = std::min(jobs.size(), from + kReturnedPage);
    if (from == 0 && to == jobs.size()) {
      send(Returned{std::move(jobs)});
      return;
    }
    const auto at = [&](std::size_t index) { return jobs.begin() + static_cast<std::ptrdiff_t>(index); };
    send(Returned{std::vector<ReturnedJob>(at(from), at(to))});
  }
}

void Session::return_queued() {
  std::vector<ReturnedJob> back;
  for (const JobOrder& order : attempts_.take_queued())
    back.push_back(returned(order, ReturnReason::kUnstarted));
  unstart_handed_over();
  give_back(std::move(back));
}

// What has been handed over but not begun comes back too.
void Session::unstart_handed_over() {
  attempts_.each([&](const Attempt& attempt) {
    if (attempt.is<Attempt::Started>()) out_->emplace_back(UnstartAttempt{attempt.token, attempt.order.kind});
  });
}

void Session::kill_all(bool now, bool foreign) {
  attempts_.each([&](Attempt& attempt) {
    attempt.foreign = attempt.foreign || foreign;
    const bool started = attempt.is<Attempt::Started>();
    if (!started && !(now && attempt.is<Attempt::Killing>())) return;
    if (started) attempts_.kill(attempt);
    out_->emplace_back(KillAttempt{attempt.token, now, attempt.order.kind});
  });
}

void Session::keep_result(const Attempt& attempt, Outcome&& outcome, Duration ran, Duration waited) {
  if (attempt.foreign) return;
  JobResult& result = kept_.add(std::move(outcome));
  result.handle = attempt.order.handle;
  result.key = attempt.order.key;
  result.spec = attempt.order.spec;
  result.attempt = attempt.order.attempt;
  // Ends are told a little later than they are, and the next one has begun by then.
  result.waited = std::clamp(now_ - attempt.received - ran, Duration{0},
                             std::max(Duration{0}, attempt.started - attempt.received) + waited);
  result.ran = ran;
}

// Of a job that has ended meanwhile nothing is told.
void Session::job_progressed(JobProgressed&& event) {
  Attempt* const attempt = attempts_.find(event.token);
  if (attempt == nullptr || !attempt->is<Attempt::Started>()) return;
  if (!attempt->progress) progressed_.push_back(std::uint64_t{event.token});
  attempt->progress.emplace() = std::move(event.progress);
}

// What has waited longest, as much as a thin line carries beside the beats. Of a job that an earlier session
// was given, the dispatcher knows no handle.
void Session::tell_progress(std::vector<JobProgress>& progress) {
  for (std::size_t bytes = 0; !progressed_.empty() && bytes < kProgressBytesMost;) {
    Attempt* const attempt = attempts_.find(progressed_.front());
    progressed_.pop_front();
    if (attempt == nullptr || !attempt->progress) continue;
    if (attempt->is<Attempt::Started>() && attempt->order.handle.value != 0) {
      bytes += kProgressBytesAround + attempt->progress->text.size();
      progress.push_back({attempt->order.handle, std::move(*attempt->progress)});
    }
    attempt->progress.reset();
  }
}

void Session::return_without_resources(const std::string& reason) {
  paused_until_ = now_ + kResourcePause;
  say(LacksResources{reason});
  tell_accepting();
  return_queued();
}

void Session::attempt_ended(AttemptEnded&& event) {
  Attempt* const attempt = attempts_.find(event.token);
  if (attempt == nullptr) return;
  if (attempt->is<Attempt::Lost>()) {  // its thread has come back at last
    attempts_.end(*attempt, now_);
    return;
  }
  if (event.how == AttemptEnd::kDoubtful && stops_ == 0 && !attempt->foreign) {
    attempts_.doubt(*attempt, std::move(event.outcome), event.ran, now_ + kDoubtTime, now_);
    // So that the dispatcher fills its slots again, and does not wait for the result.
    auto* active = std::get_if<Active>(&state_);
    if (active != nullptr && attempt->order.handle.value != 0) active->ended.push_back(attempt->order.handle);
    return;
  }
  std::vector<ReturnedJob> back;
  switch (event.how) {
    case AttemptEnd::kOutcome:
      keep_result(*attempt, std::move(event.outcome), event.ran, event.waited);
      break;
    case AttemptEnd::kNotStarted:
      back.push_back(returned(attempt->order, ReturnReason::kUnstarted));
      break;
    case AttemptEnd::kDoubtful:
    case AttemptEnd::kStopped:
      back.push_back(returned(attempt->order, ReturnReason::kStopped));
      break;
    case AttemptEnd::kNoResources:
      back.push_back(returned(attempt->order, ReturnReason::kNoResources));
      return_without_resources(event.outcome.message);
      break;
  }
  // RETURNED is never repeated in a later session: there the dispatcher requeues what HELD does not name.
  if (!attempt->foreign) give_back(std::move(back));
  if (event.slot_lost) {
    attempts_.lose(*attempt);
    unstart_handed_over();  // some may wait in the pool behind this very thread
  } else {
    const bool is_typical = event.how == AttemptEnd::kOutcome;
    if (is_typical && options_.leave_at)
      (attempt->order.kind == JobKind::kCommand ? command_times_ : handler_times_).note(event.ran);
    attempts_.end(*attempt, now_, is_typical ? std::max(event.ran, Duration{1}) : Duration{0});
  }
}

// What a stop's signal may have ended is returned when a stop has come, and reported when none has.
void Session::settle_doubts(bool stopped) {
  while (Attempt* const attempt = attempts_.first_doubtful()) {
    auto& doubt = std::get<Attempt::Doubtful>(attempt->state);
    if (!stopped && now_ < doubt.until) return;
    if (!stopped) {
      keep_result(*attempt, std::move(*doubt.outcome), doubt.ran);
    } else if (!attempt->foreign) {
      give_back({returned(attempt->order, ReturnReason::kStopped)});
    }
    attempts_.end(*attempt, now_);
  }
}

void Session::send_results() {
  auto& active = std::get<Active>(state_);
  while (auto message = kept_.take_unsent(active.welcome.result_window, active.next_sink))
    out_->emplace_back(SendResults{next_header(active), std::move(message)});
}

// Nothing can start because of threads that do not come back: the supervisor starts a new engine, no crash
// counted. What is queued goes back first, and GOODBYE says that nothing was lost with this one.
void Session::judge_lost_slots() {
  if (std::holds_alternative<Left>(state_) || std::holds_alternative<Leaving>(state_) || !attempts_.stuck()) {
    stuck_since_.reset();
    return;
  }
  if (!stuck_since_) stuck_since_ = now_;
  if (now_ < *stuck_since_ + kReturnTime || !kept_.empty()) return;  // first what is known gets home
  say(SlotsLost{});
  return_queued();
  leave(stops_ > 0 ? 0 : kExitRestart);
}

}  // namespace workpool::worker
