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
constexpr std::size_t kHeldPage = 1000;  // entries, about 45 bytes each: under 64 KiB

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
  for (const Running& running : slots_.places()) {
    if (running.token == 0 || running.reported || running.foreign || running.killed) continue;
    held.jobs.push_back(
        {running.order.key, running.order.spec, running.order.attempt, now_ - running.started});
    if (held.jobs.size() == kHeldPage) {
      send(std::move(held));
      held = Held{};
    }
  }
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
    void operator()(End&) { self.end_session(true); }
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
    out_->emplace_back(Say{Tone::kInfo, "joined", "as " + active.welcome.name});
  }
  if (ack <= active.acked) return;
  active.acked = ack;
  const std::size_t kept = kept_.size();
  kept_.acked(ack);
  if (kept_.size() < kept) active.fruitful = true;
  if (active.deaths_seq != 0 && ack >= active.deaths_seq && !deaths_.empty()) {
    out_->emplace_back(ForgetDeaths{deaths_.back().engine});
    deaths_.clear();
  }
}

void Session::on_jobs(Jobs&& jobs) {
  std::get<Active>(state_).fruitful = true;
  if (!may_accept()) {
    std::vector<ReturnedJob> back;
    for (const JobOrder& order : jobs.jobs) back.push_back(returned(order, ReturnReason::kUnstarted));
    give_back(std::move(back));
    return;
  }
  for (JobOrder& order : jobs.jobs) slots_.queue(std::move(order), now_);
}

void Session::on_cancel(const Cancel& cancel) {
  std::vector<ReturnedJob> back;
  for (const JobRef& ref : cancel.jobs) {
    if (const auto order = slots_.take_queued(ref)) {
      back.push_back(returned(*order, ReturnReason::kUnstarted));
    } else if (Running* running = slots_.find(ref); running != nullptr && !running->killed) {
      running->killed = true;
      out_->emplace_back(KillRun{running->token, false});
    }
  }
  give_back(std::move(back));
}

void Session::on_recall(const Recall& recall) {
  std::vector<ReturnedJob> back;
  for (const JobRef& ref : recall.jobs) {
    if (const auto order = slots_.take_queued(ref)) {
      back.push_back(returned(*order, ReturnReason::kUnstarted));
    } else if (const Running* running = slots_.find(ref)) {
      out_->emplace_back(UnstartRun{running->token});
    }
  }
  give_back(std::move(back));
}

// ---- running ----

bool Session::may_accept() const { return stops_ == 0 && kept_.bytes() < kKeptMost && now_ >= paused_until_; }

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
  std::uint64_t token = 0;
  while (auto order = slots_.start_next(now_, token)) out_->emplace_back(StartRun{token, std::move(*order)});
}

ReturnedJob Session::returned(const JobOrder& order, ReturnReason reason) const {
  return {order.handle, order.key, order.spec, order.attempt, reason};
}

void Session::give_back(std::vector<ReturnedJob>&& jobs) {
  if (jobs.empty() || !std::holds_alternative<Active>(state_)) return;
  send(Returned{std::move(jobs)});
}

void Session::return_queued() {
  std::vector<ReturnedJob> back;
  for (const JobOrder& order : slots_.take_queued())
    back.push_back(returned(order, ReturnReason::kUnstarted));
  unstart_handed_over();
  give_back(std::move(back));
}

// What has been handed over but not begun comes back too.
void Session::unstart_handed_over() {
  for (const Running& running : slots_.places()) {
    if (running.token != 0 && !running.killed && !running.reported)
      out_->emplace_back(UnstartRun{running.token});
  }
}

void Session::kill_all(bool now, bool foreign) {
  for (Running& running : slots_.places()) {
    if (running.token == 0) continue;
    running.foreign = running.foreign || foreign;
    if (running.killed && !now) continue;
    running.killed = true;
    out_->emplace_back(KillRun{running.token, now});
  }
}

void Session::keep_result(Running& running, Outcome&& outcome, Duration ran) {
  if (running.foreign) return;
  JobResult result;
  result.handle = running.order.handle;
  result.key = running.order.key;
  result.spec = running.order.spec;
  result.attempt = running.order.attempt;
  result.waited = std::max(Duration{0}, running.started - running.received);
  result.ran = ran;
  result.outcome = std::move(outcome);
  kept_.add(std::move(result));
}

void Session::run_ended(RunEnded&& event) {
  Running* running = slots_.find(event.token);
  if (running == nullptr) return;
  if (event.how == EndOfRun::kDoubtful && stops_ == 0) {
    doubts_.push_back({event.token, std::move(event.outcome), event.ran, now_ + kDoubtTime});
    return;
  }
  if (running->reported) {  // its handler has come back at last
    slots_.ended(event.token, Duration{0});
    return;
  }
  std::vector<ReturnedJob> back;
  switch (event.how) {
    case EndOfRun::kOutcome:
      keep_result(*running, std::move(event.outcome), event.ran);
      break;
    case EndOfRun::kNotStarted:
      back.push_back(returned(running->order, ReturnReason::kUnstarted));
      break;
    case EndOfRun::kDoubtful:
    case EndOfRun::kStopped:
      back.push_back(returned(running->order, ReturnReason::kStopped));
      break;
    case EndOfRun::kNoResources:
      back.push_back(returned(running->order, ReturnReason::kNoResources));
      paused_until_ = now_ + kResourcePause;
      out_->emplace_back(Say{Tone::kWarning, "cannot_start",
                             "cannot start a job: " + event.outcome.message + "; pausing for a second"});
      tell_accepting();
      return_queued();
      break;
  }
  // RETURNED is never repeated in a later session: there the dispatcher requeues what HELD does not name.
  if (!running->foreign) give_back(std::move(back));
  if (event.slot_lost) {
    slots_.lose(event.token);
    unstart_handed_over();  // some may wait in the pool behind this very thread
  } else {
    slots_.ended(event.token,
                 event.how == EndOfRun::kOutcome ? std::max(event.ran, Duration{1}) : Duration{0});
  }
}

// A command that a stop's signal may have ended: returned when a stop has come, reported when none has.
void Session::settle_doubts(bool stopped) {
  std::vector<Doubt> open = std::exchange(doubts_, {});
  for (Doubt& doubt : open) {
    Running* running = slots_.find(doubt.token);
    if (running == nullptr) continue;
    if (stopped) {
      if (!running->foreign) give_back({returned(running->order, ReturnReason::kStopped)});
    } else if (now_ < doubt.until) {
      doubts_.push_back(std::move(doubt));
      continue;
    } else {
      keep_result(*running, std::move(doubt.outcome), doubt.ran);
    }
    slots_.ended(doubt.token, Duration{0});
  }
}

void Session::send_results() {
  while (true) {
    auto& active = std::get<Active>(state_);
    Results message = kept_.take_unsent(active.welcome.result_window, active.next_sink);
    if (message.results.empty()) return;
    send(std::move(message));
  }
}

// Nothing can start for handlers that do not return: the supervisor starts a new engine, no crash counted.
// What is queued goes back first, and GOODBYE says that nothing was lost with this one.
void Session::judge_lost_slots() {
  if (std::holds_alternative<Left>(state_) || std::holds_alternative<Leaving>(state_) || !slots_.stuck()) {
    stuck_since_.reset();
    return;
  }
  if (!stuck_since_) stuck_since_ = now_;
  if (now_ < *stuck_since_ + kReturnTime || !kept_.empty()) return;  // first what is known gets home
  out_->emplace_back(Say{Tone::kWarning, "slots_lost",
                         "handlers that did not return after their timeout hold the slots: starting anew"});
  return_queued();
  leave(stops_ > 0 ? 0 : kExitRestart);
}

}  // namespace workpool::worker
