// SPDX-License-Identifier: MIT
#include "tests/simulation/books.h"

#include <algorithm>

namespace workpool::simulation {
namespace {

std::string text(SessionId session) { return hex64(session.value).substr(0, 6); }

}  // namespace

Books::Books(const Setup& setup) : setup_(setup) {
  for (const JobPlan& plan : setup.jobs) jobs_[plan.facts.key].plan = &plan;
}

void Books::broke(const std::string& what) {
  if (broken_.empty()) broken_ = what;
}

Books::JobEntry* Books::job(const Key& key) {
  const auto found = jobs_.find(key);
  return found == jobs_.end() ? nullptr : &found->second;
}

const JobPlan* Books::plan(const Key& key) const {
  const auto found = jobs_.find(key);
  return found == jobs_.end() ? nullptr : found->second.plan;
}

std::uint32_t Books::executions_of(const Key& key) const { return jobs_.at(key).executions; }

// ---- the dispatcher's life ----

void Books::dispatcher_started() {
  sessions_.clear();
  live_.clear();
  pending_.clear();
  hellos_.clear();
  durable_ = heard_ = 0;
  unheard_at_end_ = false;
  unmet_ = {};
  input_ended_ = !setup_.streaming;
  given_up_ = false;
  connected_at_end_.clear();
  machines_.clear();
  any_benched_ = ending_ = stopped_by_itself_ = false;
  tally_ = {};
  needed_since_.reset();
  for (auto& [key, entry] : jobs_) {
    // A job without a result has all its retries again.
    if (!entry.durable) allow_waste(entry.executions - entry.executions_before);
    entry.executions_before = entry.executions;
    entry.holder = {};
    entry.last_attempt = entry.reusable = 0;
    entry.pending = 0;
    entry.came = !setup_.streaming;
    entry.rewrites = 0;
    entry.open_again = false;
    entry.failed_on.clear();
    if (entry.durable && entry.durable_status == Status::kOk) ++tally_.ok;
  }
}

void Books::durable(std::uint64_t count) {
  for (; durable_ < count; ++durable_) {
    const dispatcher::JournalEntry& pending = pending_[durable_];
    if (const auto* granted = std::get_if<dispatcher::GrantedName>(&pending)) {
      names_[granted->name] = granted->worker;
      continue;
    }
    const auto& record = std::get<dispatcher::Record>(pending);
    if (JobEntry* entry = job(record.facts.key)) {
      if (entry->durable && entry->rewrites == 0) broke("S1: two lines for " + entry->plan->facts.id);
      if (entry->durable && entry->rewrites > 0) --entry->rewrites;
      if (!record.worker.empty() && !names_.contains(record.worker))
        broke("a record is durable before the name in it: " + record.worker);
      entry->durable = true;
      entry->durable_status = record.outcome.status;
    }
  }
}

void Books::dispatcher_crashed(std::uint64_t kept) {
  durable(std::max(kept, durable_));
  dispatcher_started();
}

std::vector<dispatcher::GrantedName> Books::names() const {
  std::vector<dispatcher::GrantedName> names;
  for (const auto& [name, worker] : names_) names.push_back({worker, name});
  return names;
}

std::optional<Status> Books::past(const Key& key) const {
  const auto found = jobs_.find(key);
  if (found == jobs_.end() || !found->second.durable) return std::nullopt;
  return found->second.durable_status;
}

// ---- what goes in ----

void Books::before_step(const dispatcher::Event& event) {
  held_.clear();
  hello_ = {};
  if (const auto* e = std::get_if<dispatcher::SinkReceived>(&event)) sink_received(*e);
  if (const auto* e = std::get_if<dispatcher::HelloReceived>(&event)) hello_ = hellos_[e->fresh] = e->hello;
  if (const auto* e = std::get_if<dispatcher::JournalState>(&event)) heard_ = e->durable;
  if (std::holds_alternative<dispatcher::InputEnded>(event)) input_ended_ = true;
  if (std::holds_alternative<dispatcher::StopRequested>(event)) ending_ = true;
  if (const auto* e = std::get_if<dispatcher::JobArrived>(&event)) jobs_.at(e->job.facts.key).came = true;
  if (const auto* e = std::get_if<dispatcher::LaneWritable>(&event)) {
    if (const auto found = sessions_.find(e->session); found != sessions_.end())
      found->second.writable = true;
  }
  if (const auto* e = std::get_if<dispatcher::LaneBound>(&event)) {
    if (const auto found = sessions_.find(e->session); found != sessions_.end() && !e->bound)
      found->second.fenced = true;
  }
  if (const auto* e = std::get_if<dispatcher::LaneGone>(&event)) {
    if (const auto found = sessions_.find(e->session); found != sessions_.end()) found->second.fenced = true;
  }
}

void Books::sink_received(const dispatcher::SinkReceived& event) {
  const auto found = sessions_.find(event.header.session);
  if (found == sessions_.end()) return;
  OpenSession& session = found->second;
  if (event.header.seq != session.received + 1) {
    session.fenced = true;
    if (const auto* results = std::get_if<Results>(&event.message)) {
      for (const JobResult& result : results->results) result_received(event.header.session, result);
    }
    return;
  }
  session.received = event.header.seq;
  if (const auto* ready = std::get_if<Ready>(&event.message)) {
    session.accepting = ready->accepting;
    if (!session.ready) {
      for (auto& [key, entry] : jobs_) {
        if (entry.holder == event.header.session && !entry.confirmed) entry.holder = {};
      }
    }
    session.ready = true;
  } else if (const auto* results = std::get_if<Results>(&event.message)) {
    for (const JobResult& result : results->results) {
      const bool counts = result_received(event.header.session, result);
      if (const JobEntry* entry = job(result.key); entry != nullptr && (counts || !entry->settled()))
        machine_ended(session, *entry, result);
      session.results[event.header.seq].push_back(
          {result.key, result.spec, result.attempt, result.outcome.status, counts});
    }
  } else if (const auto* returned = std::get_if<Returned>(&event.message)) {
    for (const ReturnedJob& entry : returned->jobs) returned_received(event.header.session, entry);
  } else if (const auto* held = std::get_if<Held>(&event.message)) {
    held_from_ = event.header.session;
    held_ = held->jobs;
  }
}

// A failure of the attempt that the ledger names ends that lease, whether it is retried or recorded.
bool Books::result_received(SessionId session, const JobResult& result) {
  JobEntry* entry = job(result.key);
  if (entry == nullptr || entry->holder != session || entry->holder_attempt != result.attempt ||
      entry->plan->facts.spec != result.spec)
    return false;
  // Given in this session, it is answered by its handle; gone on with from an earlier one, by 0.
  if (entry->given != (result.handle.value != 0)) return false;
  entry->holder = {};
  return true;
}

void Books::returned_received(SessionId session, const ReturnedJob& returned) {
  JobEntry* entry = job(returned.key);
  if (entry == nullptr || entry->holder != session || entry->holder_attempt != returned.attempt) return;
  if (entry->given != (returned.handle.value != 0)) return;
  entry->holder = {};
  if (returned.reason != ReturnReason::kStopped) entry->reusable = returned.attempt;
  // A worker that leaves kills what outlasts its grace.
  const auto session_of = sessions_.find(session);
  if (returned.reason == ReturnReason::kStopped && !session_of->second.accepting) ++entry->ran_more;
}

// ---- what comes out ----

void Books::after_step(const dispatcher::Actions& actions, std::size_t from, Time now) {
  now_ = now;
  settle_held(actions, from);
  for (std::size_t i = from; i < actions.size(); ++i) {
    const dispatcher::Action& action = actions[i];
    if (const auto* a = std::get_if<dispatcher::Persist>(&action)) {
      for (const dispatcher::JournalEntry& entry : a->entries) {
        pending_.push_back(entry);
        if (const auto* record = std::get_if<dispatcher::Record>(&entry)) recorded_now(*record);
      }
    }
    if (const auto* a = std::get_if<dispatcher::Admit>(&action)) admitted(*a);
    if (std::holds_alternative<dispatcher::Finish>(action)) unheard_at_end_ = has_unheard_result();
    if (std::holds_alternative<dispatcher::RunOver>(action)) {
      ending_ = true;
      for (const auto& [id, session] : sessions_) {
        if (session.connected()) connected_at_end_.insert(id);
      }
    }
    if (const auto* a = std::get_if<dispatcher::CloseSession>(&action)) closed(a->session);
    if (const auto* a = std::get_if<dispatcher::SendLane>(&action)) {
      if (const auto* beat = std::get_if<LaneBeat>(&a->message)) told(a->session, beat->ack, beat->received);
      if (const auto* jobs = std::get_if<Jobs>(&a->message)) {
        told(a->session, jobs->ack, jobs->received);
        for (const JobOrder& order : jobs->jobs) assigned(a->session, order);
      }
      if (const auto* cancel = std::get_if<Cancel>(&a->message)) {
        for (const JobRef& ref : cancel->jobs) {
          JobEntry* entry = job(ref.key);
          if (entry != nullptr && entry->holder == a->session) taken_away(*entry);
        }
      }
      if (std::holds_alternative<End>(a->message)) {
        if (const auto found = sessions_.find(a->session); found != sessions_.end())
          found->second.fenced = true;
      }
    }
    if (const auto* a = std::get_if<dispatcher::Report>(&action)) {
      const auto* left = std::get_if<dispatcher::WorkerLeft>(a);
      if (left != nullptr && left->lost) ++lost_reports_;
      const auto* unmet = std::get_if<dispatcher::JobUnsatisfiable>(a);
      if (unmet != nullptr && unmet->given_up) gave_up(now);
      if (const auto* e = std::get_if<dispatcher::RunStops>(a)) stopped_by_itself(e->why);
      if (const auto* e = std::get_if<dispatcher::FailuresWithdrawn>(a)) withdrawn(*e);
      if (const auto* e = std::get_if<dispatcher::WorkerBenched>(a)) benched(e->name, true);
      if (const auto* e = std::get_if<dispatcher::WorkerUnbenched>(a)) benched(e->name, false);
      if (const auto* e = std::get_if<dispatcher::JobMoved>(a)) {
        ++job(key_of_id(e->id))->ran_more;
        allow_waste(1);
      }
    }
  }
  look_for_unmet(now);
  look_at_bench();
}

// ---- jobs that no connected worker can run ----

bool Books::OpenSession::offers(const Requirement& needed) const {
  const auto has = [](const auto& list, const auto& name) { return std::ranges::count(list, name) > 0; };
  return needed.slots <= slots && (needed.type.empty() || has(handlers, needed.type)) &&
         std::ranges::all_of(needed.labels, [&](const auto& label) { return has(labels, label); });
}

void Books::look_for_unmet(Time now) {
  const auto could_run = [this](const OpenSession& session) {
    return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& job) {
      const JobEntry& entry = job.second;
      const bool is_left = !entry.settled() && !entry.plan->invalid;
      return is_left && session.offers(entry.plan->requirement);
    });
  };
  bool anybody = false;
  bool met = !input_ended_;
  for (const auto& [id, session] : sessions_) {
    if (!session.connected()) continue;
    anybody = true;
    met = met || could_run(session);
  }
  unmet_.look(anybody, met, now);
}

void Books::gave_up(Time now) {
  given_up_ = true;
  if (!unmet_.lasts(setup_.unsatisfiable_after, now)) broke("S11: jobs are given up before their time");
}

bool Books::cancelled(const dispatcher::Actions& actions, std::size_t from, SessionId session,
                      const Key& key) const {
  for (std::size_t i = from; i < actions.size(); ++i) {
    const auto* send = std::get_if<dispatcher::SendLane>(&actions[i]);
    const auto* cancel =
        send == nullptr || send->session != session ? nullptr : std::get_if<Cancel>(&send->message);
    if (cancel == nullptr) continue;
    if (std::ranges::count(cancel->jobs, key, &JobRef::key) > 0) return true;
  }
  return false;
}

// A job that a worker says it runs is its own from now on, unless the dispatcher has cancelled it there.
void Books::settle_held(const dispatcher::Actions& actions, std::size_t from) {
  for (const HeldJob& held : held_) {
    JobEntry* entry = job(held.key);
    if (entry == nullptr || cancelled(actions, from, held_from_, held.key)) continue;
    if (entry->settled()) {
      broke("S2: " + entry->plan->facts.id + " is recorded and goes on at its holder");
      continue;
    }
    if (entry->holder.value != 0 && entry->holder != held_from_ && entry->confirmed && !entry->cancelled &&
        sessions_.contains(entry->holder) && !cancelled(actions, from, entry->holder, held.key)) {
      broke("S6: " + entry->plan->facts.id + " held by " + text(entry->holder) + " is kept by " +
            text(held_from_) + " too");
    }
    entry->holder = held_from_;
    entry->given = false;
    entry->holder_attempt = held.attempt;
    entry->confirmed = true;
    entry->cancelled = false;
    entry->reusable = 0;
    entry->last_attempt = std::max(entry->last_attempt, held.attempt);
  }
  held_.clear();
}

void Books::assigned(SessionId to, const JobOrder& order) {
  JobEntry* entry = job(order.key);
  const auto found = sessions_.find(to);
  if (entry == nullptr || found == sessions_.end())
    return broke("a job that is not in the file, or to a session that is over");
  const std::string what =
      entry->plan->facts.id + " attempt " + std::to_string(order.attempt) + " to " + text(to);
  const OpenSession& session = found->second;
  if (!session.ready || !session.accepting || !session.writable || session.fenced)
    broke("given to a session that takes no work: " + what);
  if (entry->settled()) broke("S2: given after it was recorded: " + what);
  if (entry->holder.value != 0) broke("S6: " + what + " while " + text(entry->holder) + " holds it");
  if (order.spec != entry->plan->facts.spec || order.work != entry->plan->work)
    broke("another job's work: " + what);
  const bool again = order.attempt == entry->reusable && entry->reusable != 0;
  if (order.attempt <= entry->last_attempt && !again) {
    broke("S5: " + what + " after attempt " + std::to_string(entry->last_attempt));
  }
  const auto granted = names_.find(session.name);
  if (granted == names_.end() || granted->second != session.worker)
    broke("given to a worker whose name is not durable: " + session.name);
  if (!session.offers(entry->plan->requirement)) broke("S6: a worker that lacks what it needs: " + what);
  Machine& machine = machines_[session.worker];
  if (machine.benched && now_ < machine.given_last + seconds(59))
    broke("benched, and given more than a job a minute: " + what);
  machine.given_last = now_;
  entry->last_attempt = std::max(entry->last_attempt, order.attempt);
  entry->reusable = 0;
  entry->holder = to;
  entry->given = true;
  entry->holder_attempt = order.attempt;
  entry->confirmed = true;
  entry->cancelled = false;
  given_.insert({session.worker, order.key, order.attempt});
}

void Books::told(SessionId id, std::uint64_t ack, std::uint64_t received) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  OpenSession& session = found->second;
  if (received > session.received || ack > received)
    broke("S4: a receipt or ack of what has not come, to " + text(id));
  if (ack < session.acked) broke("S4: an ack that goes back, to " + text(id));
  session.acked = std::max(session.acked, ack);
  while (!session.results.empty() && session.results.begin()->first <= ack) {
    for (const Sent& sent : session.results.begin()->second) {
      const JobEntry* entry = job(sent.key);
      if (entry == nullptr || entry->plan->facts.spec != sent.spec || entry->durable) continue;
      const bool its_own = sent.counts && entry->pending != 0 && entry->pending_attempt == sent.attempt;
      if (sent.status == Status::kOk || (its_own && sent.status == entry->last_status))
        broke("S3: acked before it is durable: " + entry->plan->facts.id);
    }
    session.results.erase(session.results.begin());
  }
}

void Books::recorded_now(const dispatcher::Record& record) {
  JobEntry* entry = job(record.facts.key);
  if (record.outcome.status == Status::kInvalid) return;
  if (entry == nullptr) return broke("S5: a record of no job of the file: " + record.facts.id);
  const std::string& id = entry->plan->facts.id;
  if (entry->settled()) broke("S1: recorded a second time: " + id);
  if (record.outcome.kind == ErrorKind::kSpawn) check_cannot_start(*entry);
  entry->open_again = false;
  entry->last_status = record.outcome.status;
  ++tally_.ended_here;
  ++(record.outcome.status == Status::kOk ? tally_.ok : tally_.not_ok_here);
  if (record.facts.id != id || record.facts.line != entry->plan->facts.line)
    broke("a record that names another job: " + id + " as " + record.facts.id);
  if (record.facts.spec != entry->plan->facts.spec) broke("S5: recorded with another spec: " + id);
  entry->pending = pending_.size();
  entry->pending_attempt = record.attempt;
  entry->holder = {};
  if (record.outcome.status == Status::kQuarantined) {
    if (entry->deaths < setup_.crash_limit && entry->losses < 3 * setup_.crash_limit)
      broke("S7: quarantined for nothing: " + id);
    return;
  }
  const std::pair<std::uint32_t, Status> told{record.attempt, record.outcome.status};
  if (std::find(entry->outcomes.begin(), entry->outcomes.end(), told) == entry->outcomes.end()) {
    broke("recorded what never ran: " + id + " attempt " + std::to_string(record.attempt) + " " +
          workpool::name_of(record.outcome.status));
  }
}

void Books::admitted(const dispatcher::Admit& admit) {
  const Hello& hello = hellos_[admit.welcome.session];
  const std::string& name = admit.welcome.name;
  const auto granted = names_.find(name);
  const bool is_others = granted != names_.end() && granted->second != hello.worker;
  const bool is_twice = std::any_of(sessions_.begin(), sessions_.end(), [&](const auto& open) {
    return open.second.name == name && open.second.worker != hello.worker;
  });
  if (is_others || is_twice) broke("two workers of one run are called " + name);
  OpenSession& session = sessions_[admit.welcome.session];
  session.worker = hello.worker;
  session.name = name;
  session.engine = hello.engine;
  session.slots = hello.slots;
  session.labels = hello.labels;
  session.handlers = hello.handlers;
  // The same engine goes on with what it runs; nothing of it may be given out before it has said what that
  // is.
  const auto before = live_.find(hello.worker);
  if (before != live_.end() && before->second.second == hello.engine) {
    for (auto& [key, entry] : jobs_) {
      if (entry.holder != before->second.first) continue;
      entry.holder = admit.welcome.session;
      entry.given = false;
      entry.confirmed = entry.cancelled = false;
    }
  }
  live_[hello.worker] = {admit.welcome.session, hello.engine};
}

void Books::closed(SessionId id) {
  const auto found = sessions_.find(id);
  if (found == sessions_.end()) return;
  // Closed because its worker has come back: what is held goes to the new session, see admitted().
  const bool replaced = hello_.worker.value != 0 && found->second.worker == hello_.worker &&
                        found->second.engine == hello_.engine;
  if (!replaced) {
    for (auto& [key, entry] : jobs_) {
      if (entry.holder != id) continue;
      entry.holder = {};
      ++entry.losses;
    }
    if (live_[found->second.worker].first == id) live_.erase(found->second.worker);
  }
  sessions_.erase(found);
}

// ---- the workers ----

void Books::worker_opened(WorkerId id, SessionId session, RunId run, Duration worker_timeout) {
  WorkerEntry& worker = workers_[id];
  worker.session = session;
  worker.run = run;
  worker.worker_timeout = worker_timeout;
  worker.sent.clear();
  worker.orphaned = false;
}

void Books::worker_closed(WorkerId id) { workers_[id].session = {}; }

void Books::sink_sent(WorkerId id, const Header& header, Time local) {
  workers_[id].sent[header.seq] = local;
}

void Books::lane_taken(WorkerId id, const Header& header, const LaneMessage& message) {
  WorkerEntry& worker = workers_[id];
  if (worker.session.value == 0 || header.session != worker.session || header.run != worker.run) return;
  std::uint64_t received = 0;
  if (const auto* jobs = std::get_if<Jobs>(&message)) received = jobs->received;
  if (const auto* beat = std::get_if<LaneBeat>(&message)) received = beat->received;
  const auto sent = worker.sent.find(received);
  if (sent == worker.sent.end()) return;
  worker.lease = sent->second + worker.worker_timeout / 2;
  worker.has_lease = true;
}

void Books::started(WorkerId id, const Key& key, std::uint32_t attempt, Time local) {
  const WorkerEntry& worker = workers_[id];
  JobEntry* entry = job(key);
  if (entry == nullptr) return broke("a job that is not in the file was started");
  const std::string& name = entry->plan->facts.id;
  ++entry->executions;
  ++executions_;
  if (!given_.contains({id, key, attempt}))
    broke("S9: started at a worker that it was not given to: " + name);
  if (!worker.has_lease || local > worker.lease) broke("S10: started beyond the lease: " + name);
  if (worker.stopped) broke("S10: started by a worker that drains: " + name);
  if (worker.orphaned) broke("S10: started by an orphaned worker: " + name);
  std::uint64_t most = allowed_waste_;
  for (const auto& plan : setup_.jobs) most += 1 + plan.facts.retries;
  if (executions_ > most)
    broke("more executions (" + std::to_string(executions_) + ") than faults explain (" +
          std::to_string(most) + ")");
}

void Books::ended(const Key& key, std::uint32_t attempt, Status status) {
  if (JobEntry* entry = job(key)) entry->outcomes.emplace_back(attempt, status);
}

void Books::engine_died(const std::vector<Key>& ran) {
  for (const Key& key : ran) {
    if (JobEntry* entry = job(key)) ++entry->deaths;
  }
}

}  // namespace workpool::simulation
