// SPDX-License-Identifier: MIT
#include "tests/scenario/stage.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/units.h"

namespace workpool::scenario {
namespace {

std::string told(const dispatcher::LeaveCause& cause) {
  if (std::holds_alternative<dispatcher::SaidGoodbye>(cause)) return "said goodbye";
  if (std::holds_alternative<dispatcher::ConnectionLost>(cause)) return "connection lost";
  if (const auto* silent = std::get_if<dispatcher::SilentFor>(&cause))
    return "silent for " + std::to_string(silent->time / seconds(1)) + "s";
  return "cause " + std::to_string(cause.index());
}

// What follows "dispatcher"; empty if it says nothing of it.
std::string told(const dispatcher::Report& report) {
  struct Visitor {
    std::string operator()(const dispatcher::JobRetried& e) const {
      return " will give " + e.id + " again in " + std::to_string(e.delay / milliseconds(1)) + " ms";
    }
    std::string operator()(const dispatcher::JobsFileRefused& e) const {
      return ": the jobs file was changed (line " + std::to_string(e.line) + ")";
    }
    std::string operator()(const dispatcher::NoPortForWorker& e) const {
      return ": no port is left for " + e.name;
    }
    std::string operator()(const dispatcher::ReturnsEverything& e) const {
      return ": " + e.name + " gives back every job";
    }
    std::string operator()(const dispatcher::OverItsTimeout& e) const {
      return ": " + e.id + " is over its timeout on " + e.worker;
    }
    std::string operator()(const dispatcher::JobsTakenAway& e) const {
      return ": " + std::to_string(e.jobs) + " of " + e.worker + " such as " + e.id;
    }
    std::string operator()(const dispatcher::WorkerUntrue& e) const {
      return ": " + e.name + " says what cannot be of '" + e.id + "'";
    }
    std::string operator()(const dispatcher::SpokeForAnother& e) const {
      return ": somebody speaks for " + e.name;
    }
    std::string operator()(const dispatcher::WorkerLeft& e) const {
      return ": " + e.name + " left, " + told(e.cause) + (e.known ? "" : " (unknown)");
    }
    std::string operator()(const dispatcher::WorkerOutOfReach& e) const {
      return ": " + e.name + " is out of reach" + (e.for_results ? " for results" : "");
    }
    std::string operator()(const dispatcher::JobUnsatisfiable& e) const {
      return ": " + std::to_string(e.jobs) + " unsatisfiable" + (e.given_up ? ", given up" : "");
    }
    std::string operator()(const dispatcher::JobMoved& e) const {
      return " gives " + e.id + " to another worker than " + e.worker;
    }
    std::string operator()(const dispatcher::FailuresWithdrawn& e) const {
      std::string text = " withdraws";
      for (const dispatcher::JobEnded& job : e.failures)
        text += " " + job.id + "." + std::to_string(job.attempt);
      return text;
    }
    std::string operator()(const dispatcher::WorkerBenched& e) const {
      return ": " + e.name + " is benched, its last " + std::to_string(e.failed) + " failed, elsewhere " +
             std::to_string(e.elsewhere_failed) + " of " + std::to_string(e.elsewhere_ended);
    }
    std::string operator()(const dispatcher::WorkerUnbenched& e) const {
      static const char* const kWhy[] = {"a probe was ok", "it is needed", "nothing like it is left"};
      return ": " + e.name + " is back, " + kWhy[static_cast<int>(e.why)];
    }
    std::string operator()(const dispatcher::RunStops&) const { return " stops by itself"; }
    std::string operator()(const dispatcher::WorkerJoined&) const { return ""; }
    std::string operator()(const dispatcher::JobEnded&) const { return ""; }
    std::string operator()(const dispatcher::EngineDied&) const { return ""; }
  };
  return std::visit(Visitor{}, report);
}

constexpr Duration kTick = milliseconds(250);  // both loops come by so often
constexpr int kRoundsMost = 10'000;            // more is two cores that keep each other busy

}  // namespace

Stage::Machine& Stage::machine(const std::string& name) {
  CHECK(machines_.contains(name));
  return machines_.at(name);
}
const Stage::Machine& Stage::machine(const std::string& name) const {
  CHECK(machines_.contains(name));
  return machines_.at(name);
}

void Stage::say(const std::string& line) { transcript.push_back(line); }

// ---- the dispatcher ----

void Stage::start_dispatcher() {
  options.run = RunId{1};
  index_ = std::make_unique<dispatcher::JobIndex>();
  std::uint64_t line = 0;
  std::vector<std::pair<dispatcher::JobNumber, Status>> past;
  for (const JobSetup& job : jobs) {
    const Key key = key_of_id(job.name);
    names_[key] = job.name;
    if (options.streaming) continue;
    const std::uint32_t requirement = index_->requirement_number(job.requirement);
    index_->add({key.high, spec_of_work("{\"type\":\"" + job.name + "\"}").high, 0, ++line, 0, requirement,
                 job.priority});
    if (durable_.contains(job.name)) past.emplace_back(line - 1, durable_.at(job.name));
  }
  index_->seal();
  dispatcher::AlreadyDone done;
  for (const auto& [number, status] : past) {
    index_->ids().set_past(number, status == Status::kOk ? dispatcher::JobRegister::Past::kOk
                                                         : dispatcher::JobRegister::Past::kFailed);
    ++(status == Status::kOk ? done.ok : done.failed);
  }
  index_->open_queues(false);
  options.may_withdraw = !options.streaming;
  scheduler_ = std::make_unique<dispatcher::Scheduler>(options, *index_, now_);
  inbox_.clear();
  inbox_.emplace_back(granted_);
  inbox_.emplace_back(done);
  if (options.streaming) feed_stream();
  entries_.clear();
  loads_.clear();
  told_durable_ = 0;
  finished_.reset();
  for (auto& [name, worker] : machines_) worker.links.clear();
}

// All jobs of the stream, as a source would deliver them that finds the durable results in RESULTS.
void Stage::feed_stream() {
  dispatcher::JobIntake intake(index_->ids(), true, false);
  dispatcher::AlreadyDone done;
  for (dispatcher::JobNumber number = 0; number < jobs.size(); ++number) {
    dispatcher::LoadedJob line = line_of(number);
    if (const auto found = durable_.find(jobs[number].name); found != durable_.end()) {
      index_->ids().remember(line.facts.key, line.facts.spec,
                             found->second == Status::kOk ? dispatcher::JobRegister::Past::kOk
                                                          : dispatcher::JobRegister::Past::kFailed);
      ++(found->second == Status::kOk ? done.ok : done.failed);
    }
    if (std::holds_alternative<dispatcher::JobIntake::ToRun>(intake.take(line.facts)))
      inbox_.emplace_back(dispatcher::JobArrived{std::move(line), jobs[number].requirement});
  }
  inbox_.emplace_back(done);
}

void Stage::crash_dispatcher() {
  scheduler_.reset();
  entries_.clear();
  for (const std::string& name : order_) {
    Machine& worker = machine(name);
    if (worker.open.value != 0) worker.inbox.emplace_back(worker::SinkGone{worker.open});
    worker.links.clear();
  }
}

dispatcher::LoadedJob Stage::line_of(dispatcher::JobNumber number) const {
  const JobSetup& job = jobs[number];
  dispatcher::LoadedJob line;
  line.work = "{\"type\":\"" + job.name + "\"}";
  line.facts.number = number;
  line.facts.line = number + 1;
  line.facts.id = job.name;
  line.facts.key = key_of_id(job.name);
  line.facts.spec = spec_of_work(line.work);
  line.facts.priority = job.priority;
  line.facts.timeout = job.timeout;
  line.facts.retries = job.retries;
  line.facts.slots = job.requirement.slots;
  line.facts.by_shell = job.by_shell;
  return line;
}

void Stage::hold_disk(bool held) {
  disk_held_ = held;
  sync();
}

void Stage::hold_loads(bool held) { loads_held_ = held; }

void Stage::sync() {
  if (disk_held_ || scheduler_ == nullptr || told_durable_ == entries_.size()) return;
  for (; told_durable_ < entries_.size(); ++told_durable_) {
    const auto& entry = entries_[told_durable_];
    if (const auto* granted = std::get_if<dispatcher::GrantedName>(&entry)) {
      granted_.names.push_back(*granted);
      continue;
    }
    const auto& [job, status] = std::get<Recorded>(entry);
    CHECK(!durable_.contains(job) || withdrawn_.erase(job) > 0);  // S1
    durable_[job] = status;
  }
  inbox_.emplace_back(dispatcher::JournalState{told_durable_, false, false, 0});
}

bool Stage::step_dispatcher(bool idle) {
  if (scheduler_ == nullptr || paused_ || finished_) return false;
  if (!loads_held_ && !loads_.empty()) {
    dispatcher::JobsLoaded loaded;
    for (const dispatcher::JobNumber number : std::exchange(loads_, {})) {
      loaded.jobs.push_back(line_of(number));
      loaded.jobs.back().facts.requirement = index_->requirement_number(jobs[number].requirement);
    }
    inbox_.emplace_back(std::move(loaded));
  }
  if (inbox_.empty() && !idle) return false;
  dispatcher::Actions actions;
  for (dispatcher::Event& event : std::exchange(inbox_, {}))
    scheduler_->step(std::move(event), now_, actions);
  scheduler_->step(dispatcher::Drained{}, now_, actions);
  for (dispatcher::Action& action : actions) {
    if (const auto* persist = std::get_if<dispatcher::Persist>(&action)) {
      for (const dispatcher::JournalEntry& entry : persist->entries) take_entry(entry);
    }
  }
  sync();
  for (dispatcher::Action& action : actions) carry_out(action);
  return true;
}

void Stage::take_entry(const dispatcher::JournalEntry& entry) {
  if (const auto* granted = std::get_if<dispatcher::GrantedName>(&entry)) entries_.emplace_back(*granted);
  const auto* record = std::get_if<dispatcher::Record>(&entry);
  if (record == nullptr) return;
  entries_.emplace_back(Recorded{record->facts.id, record->outcome.status});
  say("dispatcher records " + record->facts.id + " " + name_of(record->outcome.status) + ", attempt " +
      std::to_string(record->attempt) +
      (record->outcome.status == Status::kQuarantined ? ": " + record->outcome.message : ""));
}

void Stage::carry_out(dispatcher::Action& action) {
  struct Visitor {
    Stage& self;
    void operator()(dispatcher::Persist&) {}
    void operator()(dispatcher::Load& a) {
      self.loads_.insert(self.loads_.end(), a.jobs.begin(), a.jobs.end());
    }
    void operator()(dispatcher::Admit& a) {
      self.say("dispatcher -> " + a.peer + ": WELCOME as " + a.welcome.name + ", " +
               self.session_name(a.welcome.session));
      Machine& worker = self.machine(a.peer);
      worker.links[a.welcome.session].session = a.welcome.session;
      self.inbox_.emplace_back(dispatcher::LaneBound{a.welcome.session, true});
      worker.inbox.emplace_back(worker::Welcomed{worker.hello_try, a.welcome});
    }
    void operator()(dispatcher::Refuse& a) {
      const Refused refused{kProtocol, dispatcher::code_of(a.cause), {}};
      const bool complete = refused.code == Refusal::kComplete;
      self.say("dispatcher -> " + a.peer + ": REFUSED, " +
               (complete ? "the run is complete" : "cause " + std::to_string(a.cause.index())));
      Machine& worker = self.machine(a.peer);
      worker.inbox.emplace_back(worker::RefusedBy{worker.hello_try, refused});
    }
    void operator()(dispatcher::SendLane& a) {
      if (auto* jobs = std::get_if<Jobs>(&a.message)) {  // of their kind as their work says
        for (JobOrder& order : jobs->jobs) order.kind = JobKind::kHandler;
      }
      self.send_lane(a.session, std::move(a.message));
    }
    void operator()(dispatcher::CloseSession& a) {
      self.say("dispatcher closes " + self.session_name(a.session));
      if (!a.say_end) self.close_lane(a.session);
    }
    void operator()(dispatcher::Report& report) {
      if (const auto* withdrawn = std::get_if<dispatcher::FailuresWithdrawn>(&report)) {
        for (const dispatcher::JobEnded& job : withdrawn->failures) self.withdrawn_.insert(job.id);
      }
      if (const std::string line = told(report); !line.empty()) self.say("dispatcher" + line);
    }
    void operator()(dispatcher::RunOver& a) {
      self.say("dispatcher: the run is over, code " +
               std::to_string(exit_status(dispatcher::exit_code_of(a.end))));
    }
    void operator()(dispatcher::Finish& a) {
      self.say("dispatcher leaves with " + std::to_string(exit_status(dispatcher::exit_code_of(a.end))));
      self.finished_ = exit_status(dispatcher::exit_code_of(a.end));
    }
  };
  std::visit(Visitor{*this}, action);
}

std::pair<Stage::Machine*, Stage::Link*> Stage::link_of(SessionId session) {
  for (auto& [name, worker] : machines_) {
    if (const auto found = worker.links.find(session); found != worker.links.end())
      return {&worker, &found->second};
  }
  return {nullptr, nullptr};
}

void Stage::send_lane(SessionId session, LaneMessage&& message) {
  const auto [worker, link] = link_of(session);
  if (link == nullptr) return;
  if (!std::holds_alternative<LaneBeat>(message))
    say("dispatcher -> " + session_name(session) + ": " + described(message));
  const Header header{options.run, session, link->next_lane++};
  if (!link->lane_cut) link->lane.emplace_back(header, std::move(message));
}

void Stage::close_lane(SessionId session) {
  const auto [worker, link] = link_of(session);
  if (link == nullptr) return;
  link->lane_cut = true;
  link->lane.clear();
}

// ---- time ----

void Stage::settle() {
  for (int round = 0; round < kRoundsMost; ++round) {
    bool moved = step_dispatcher(false);
    for (const std::string& name : order_) {
      Machine& worker = machine(name);
      moved = deliver(name, worker) || moved;
      moved = begin_runs(name, worker) || moved;
      moved = step_worker(name, worker, false) || moved;
    }
    if (!moved) return;
  }
  say("the two keep each other busy forever");
}

void Stage::advance(Duration how_long) {
  const Time end = now_ + how_long;
  settle();
  while (now_ < end) {
    Time next = std::min(end, now_ + kTick);
    const auto take = [&](const std::optional<Time>& due) {
      if (due && *due > now_) next = std::min(next, *due);
    };
    if (scheduler_ != nullptr && !paused_ && !finished_) take(scheduler_->next_deadline());
    for (auto& [name, worker] : machines_) {
      if (worker.session && !worker.paused) take(worker.session->next_deadline());
    }
    now_ = next;
    step_dispatcher(true);
    for (const std::string& name : order_) step_worker(name, machine(name), true);
    settle();
  }
}

// ---- what is so ----

std::string Stage::recorded(const std::string& job) const {
  if (const auto found = durable_.find(job); found != durable_.end()) return name_of(found->second);
  for (const auto& entry : entries_) {
    const auto* recorded = std::get_if<Recorded>(&entry);
    if (recorded == nullptr) continue;
    const auto& [name, status] = *recorded;
    if (name == job) return name_of(status);
  }
  return {};
}

bool Stage::runs(const std::string& name, const std::string& job) const {
  const Machine& worker = machine(name);
  return std::any_of(worker.runs.begin(), worker.runs.end(), [&](const auto& run) {
    return run.second.begun && job_name(run.second.order.key) == job;
  });
}

std::string Stage::state_of(const std::string& name) const {
  const Machine& worker = machine(name);
  if (worker.exited) return "gone " + std::to_string(*worker.exited);
  if (!worker.session) return "dead";
  return worker.session->active() ? "in session" : "registering";
}

std::string Stage::check() const {
  if (scheduler_ == nullptr) return {};
  std::uint64_t held = 0;
  for (const auto& [id, session] : scheduler_->worker_table().sessions()) held += session.held.jobs();
  return held == scheduler_->ledger().jobs().assigned() ? ""
                                                        : "the sessions hold other jobs than are assigned";
}

std::string Stage::job_name(const Key& key) const {
  const auto found = names_.find(key);
  return found == names_.end() ? "?" : found->second;
}

std::string Stage::session_name(SessionId session) const { return "s" + std::to_string(session.value); }

}  // namespace workpool::scenario
