// SPDX-License-Identifier: MIT
#include "dispatcher/core/scheduler.h"

#include <algorithm>
#include <string>
#include <utility>

namespace workpool::dispatcher {
namespace {

// The loop comes by at least every 250 ms; a longer gap is the dispatcher's own pause and costs no worker its
// lease.
constexpr Duration kLoopInterval = milliseconds(250);
constexpr Duration kPauseLeast = milliseconds(500);
// A worker that is still there comes back within that, and its worker timeout.
constexpr Duration kComesBackWithin = seconds(5);

}  // namespace

Scheduler::Scheduler(const SchedulerOptions& options, JobIndex& index, Time start)
    : options_(options),
      classes_(index.requirements()),
      streaks_(workers_, classes_),
      ledger_(options_, index, classes_, workers_, streaks_, journal_, start),
      bench_(options_, ledger_, classes_, workers_, streaks_),
      blame_(options_, ledger_, workers_),
      sessions_(options_, ledger_, workers_, blame_, journal_),
      conduct_(options_, ledger_, workers_, sessions_),
      placement_(ledger_, classes_, workers_, sessions_),
      ending_(options_, ledger_, workers_, sessions_, journal_, start),
      jobs_messages_(options_.jobs_most),
      last_drained_(start),
      limits_held_until_(start + kComesBackWithin + options_.worker_timeout) {
  if (!options_.streaming) ending_.input_ended();
}

void Scheduler::step(Event&& event, Time now, Actions& actions) {
  Step step(now, actions, jobs_messages_);
  classes_.limits().advance(now);
  struct Visitor {
    Scheduler& self;
    Step& step;
    void operator()(HelloReceived& e) { self.sessions_.hello(std::move(e), step); }
    void operator()(LaneBound& e) { self.sessions_.lane_bound(e, step); }
    void operator()(SinkReceived& e) { self.sessions_.sink(std::move(e), step); }
    void operator()(PartReceived& e) { self.sessions_.part(e, step); }
    void operator()(LaneWritable& e) { self.sessions_.lane_writable(e.session, step); }
    void operator()(LaneGone& e) { self.sessions_.lane_gone(e.session, step); }
    void operator()(JobsLoaded& e) {
      for (LoadedJob& job : e.jobs) self.ledger_.take_loaded(std::move(job), step);
    }
    void operator()(JobArrived& e) {
      e.job.facts.requirement = self.classes_.number_of(e.requirement);
      self.ledger_.take_arrived(std::move(e.job), step);
    }
    void operator()(AlreadyDone& e) {
      self.ledger_.count_done_before(Status::kOk, e.ok);
      self.ledger_.count_done_before(Status::kFailed, e.failed);
      self.ledger_.count_done_before(Status::kTimeout, e.timeout);
      self.ledger_.count_done_before(Status::kQuarantined, e.quarantined);
      self.ledger_.count_done_before(Status::kInvalid, e.invalid);
    }
    void operator()(NamesKnown& e) {
      for (const GrantedName& granted : e.names) self.workers_.know(granted);
      if (!e.names.empty()) self.classes_.limits().use_up_all();
      if (!self.workers_.all_back()) self.classes_.limits().hold_all();
    }
    void operator()(KeysRevoked& e) { self.sessions_.revoke(e.keys, step); }
    void operator()(InputEnded&) { self.ending_.input_ended(); }
    void operator()(InputBroken&) { self.ending_.input_broken(step); }
    void operator()(JobsFileChanged& e) { self.ending_.jobs_file_changed(e.line, step); }
    void operator()(LocalWorkerFailed& e) { self.ending_.local_worker_failed(std::move(e), step); }
    void operator()(InvalidLine& e) { self.ledger_.record_invalid(e.facts, e.message, step); }
    void operator()(JournalState& e) { self.journal_changed(e, step); }
    void operator()(StopRequested& e) { self.ending_.stop(e.kind, step); }
    void operator()(Drained& e) { self.drained(e.whole, step); }
  };
  std::visit(Visitor{*this, step}, event);
  step.end();
}

void Scheduler::journal_changed(const JournalState& state, Step& step) {
  const bool failed = state.error != 0 && journal_.state().error == 0;
  journal_.changed(state);
  sessions_.durable(step);
  if (failed) ending_.journal_failed(step);
}

void Scheduler::drained(bool whole, Step& step) {
  const Duration gap = step.now - last_drained_;
  last_drained_ = step.now;
  const Duration pause = gap > kPauseLeast ? gap - kLoopInterval : Duration{0};
  sessions_.judge(pause, whole, step);
  if (whole) conduct_.judge(step);
  blame_.judge_overdue(step);
  ledger_.wake_due(step.now);
  Limits& limits = classes_.limits();
  if (limits.holds_all() && (step.now >= limits_held_until_ || workers_.all_back())) limits.release_all();
  if (ending_.phase() == RunPhase::kRunning) bench_.judge(ending_.has_all_input(), step);
  ending_.look_at_results(step);
  placement_.look(step.now);
  if (ending_.may_dispatch()) placement_.hand_out(step);
  ending_.advance(pause, step);
}

std::optional<Time> Scheduler::next_deadline() const {
  std::optional<Time> next;
  for (const auto& time : {sessions_.next_deadline(), blame_.next_deadline(), ledger_.next_wake(),
                           ending_.next_deadline(), classes_.limits().next_due()}) {
    if (time && (!next || *time < *next)) next = time;
  }
  return next;
}

Snapshot Scheduler::snapshot(Time now) const {
  // At the end only what a later run will find is counted.
  const bool over = ending_.phase() == RunPhase::kFinished;
  const Counts counts = over ? ledger_.durable_counts() : ledger_.counts();
  Snapshot view;
  view.ok = counts.ok;
  view.failed = counts.failed;
  view.timeout = counts.timeout;
  view.quarantined = counts.quarantined;
  view.invalid = counts.invalid;
  view.before = counts.before;
  view.total = ledger_.counts().ok + ledger_.counts().not_ok() + ledger_.jobs().open();
  view.total_known = !options_.streaming;
  view.held = ledger_.jobs().assigned();
  view.delayed = ledger_.jobs().delayed();
  view.retried = counts.retried;
  view.redelivered = counts.redelivered;
  view.duplicates = counts.duplicates;
  view.cut_outputs = counts.cut_outputs;
  for (const auto& [id, session] : workers_.sessions()) {
    if (!std::holds_alternative<Live>(session.phase)) continue;
    view.running += ledger_.holdings().running(session.held, session.slots).jobs;
    ++view.workers;
    view.slots += session.slots;
  }
  view.held_up = placement_.jobs_held_up();
  const std::optional<HeldUp>& worst = placement_.worst_held_up();
  if (journal_.state().blocked) view.stuck_records = journal_.undurable_results();
  view.phase = name_of(ending_.phase());
  if (journal_.state().no_space) {
    view.waiting_for = DiskSpace{};
  } else if (journal_.state().blocked) {
    view.waiting_for = SlowResults{};
  } else if (sessions_.lacks_ports(now)) {
    view.waiting_for = FreePort{};
  } else if (ledger_.jobs().open() > 0 && view.workers == 0) {
    view.waiting_for = AnyWorker{};
  } else if (ending_.unsatisfiable() && view.held == 0) {
    view.waiting_for = FittingWorker{*ending_.unsatisfiable()};
  } else if (view.held == 0 && view.delayed > 0) {
    view.waiting_for = BackoffOver{view.delayed};
  } else if (worst && worst->rule.most > 0 && classes_.limits().holds_all()) {
    view.waiting_for = EarlierWorkers{std::max(Duration{0}, limits_held_until_ - now)};
  } else if (view.held == 0 && worst) {
    view.waiting_for = LimitOpen{*worst};
  }
  return view;
}

RunningJobs Scheduler::running_jobs(Time now) const {
  const Holdings& holdings = ledger_.holdings();
  const Holding* longest = nullptr;
  const Session* where = nullptr;
  Time latest = Time{};
  for (const auto& [id, session] : workers_.sessions()) {
    if (!std::holds_alternative<Live>(session.phase)) continue;
    const HoldingRow end = holdings.running(session.held, session.slots).next;
    for (HoldingRow row = holdings.first(session.held); row != end; row = holdings.next(row)) {
      const Holding& holding = holdings.at(row);
      if (holding.is<Doubtful>()) continue;
      latest = std::max(latest, holding.runs_since());
      if (longest != nullptr && longest->runs_since() <= holding.runs_since()) continue;
      longest = &holding;
      where = &session;
    }
  }
  RunningJobs view;
  if (longest == nullptr) return view;
  const JobFacts& facts = ledger_.jobs().at(longest->job).facts;
  view.longest = {facts.full_id(), facts.notes ? facts.notes->name : "", facts.line, where->name,
                  std::max(Duration{0}, now - longest->runs_since())};
  view.shortest_ran = std::max(Duration{0}, now - latest);
  return view;
}

std::vector<WorkDone> Scheduler::work_done() const {
  std::vector<WorkDone> all;
  for (const auto& [id, worker] : workers_.workers()) {
    if (!worker.named || worker.name_entry + worker.done == 0) continue;
    all.push_back({worker.name, worker.done});
    const Session* session = worker.session ? workers_.find(*worker.session) : nullptr;
    if (session != nullptr) all.back().done += session->done;
  }
  std::sort(all.begin(), all.end(), [](const WorkDone& a, const WorkDone& b) { return a.name < b.name; });
  return all;
}

std::vector<WorkerView> Scheduler::workers(Time now) const {
  std::vector<WorkerView> views;
  for (const auto& [id, session] : workers_.sessions()) {
    WorkerView view;
    view.name = session.name;
    view.slots = session.slots;
    view.busy = ledger_.holdings().running(session.held, session.slots).slots;
    view.held = session.held.jobs();
    view.accepting = session.accepting;
    view.suspect = sessions_.suspect(session, now);
    const auto worker = workers_.workers().find(session.worker);
    view.done = session.done;
    if (worker != workers_.workers().end()) view.done += worker->second.done;
    views.push_back(std::move(view));
  }
  return views;
}

}  // namespace workpool::dispatcher
