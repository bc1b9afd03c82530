// SPDX-License-Identifier: MIT
// A small language for tests of the dispatcher's core: workers register and say things, jobs are given and
// recorded, and at the end of a test no decision may be left that it did not expect. Lines of jobs are read
// and the journal is durable at once, unless a test holds the disk. Only the ack of a beat down a lane is
// kept.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dispatcher/core/scheduler.h"

namespace workpool::dispatcher {

struct JobOptions {
  std::uint32_t slots = 1;
  std::uint32_t retries = 0;
  Duration timeout{0};
  std::string type = "";  // empty: a command
};

class CoreTest : public testing::Test {
 protected:
  using Numbers = std::vector<JobNumber>;

  CoreTest() {
    options.run = RunId{7};
    options.listening = true;
  }

  // ---- the run ----

  void submit(int jobs, const JobOptions& job = {}) {
    for (int i = 0; i < jobs; ++i) submitted_.push_back(job);
  }
  // `known`: workers that an earlier start of the run knew.
  void start(const std::vector<std::string>& known = {}) {
    for (JobNumber number = 0; number < submitted_.size(); ++number) {
      const JobFacts facts = facts_of(number);
      index_.add({facts.key.high, facts.spec.high, 0, facts.line, 0, facts.requirement, 0});
    }
    index_.seal();
    index_.open_queues(false);
    index_at_start_ = index_;
    started_ = now_;
    scheduler_.emplace(options, index_, now_);
    NamesKnown names;
    for (const std::string& name : known)
      names.names.push_back({id_of(name), name, fingerprint_of(keys[name])});
    step(std::move(names));
  }
  void advance(Duration how_long) {
    // The loop comes by every 250 ms, and those that live send a beat.
    for (const Time end = now_ + how_long; now_ < end;) {
      now_ = std::min(end, now_ + milliseconds(250));
      for (auto& [name, peer] : peers_) {
        if (peer.beats) step(SinkReceived{{options.run, peer.session, ++peer.seq}, Beat{}, keys[name]});
      }
      drain();
    }
  }
  // The same, but looks at every deadline too, as the loop does.
  void advance_by_deadlines(Duration how_long) {
    int looks = 0;
    for (const Time end = now_ + how_long; now_ < end;) {
      ASSERT_LT(++looks, 10'000) << "the loop would spin";
      const Time latest = std::min(end, now_ + milliseconds(250));
      now_ = std::min(latest, std::max(now_, scheduler_->next_deadline().value_or(latest)));
      drain();
    }
  }
  // The dispatcher does not run for so long.
  void sleep_without_a_look(Duration how_long) {
    now_ += how_long;
    drain();
  }
  void drain() {
    step(Drained{});
    while (!loads_.empty() && loads_.front() != unread) {
      JobsLoaded loaded;
      const auto end = std::find(loads_.begin(), loads_.end(), unread);
      for (auto number = loads_.begin(); number != end; ++number)
        loaded.jobs.push_back({facts_of(*number), SharedBytes(work_of(*number))});
      loads_.erase(loads_.begin(), end);
      step(std::move(loaded));
      step(Drained{});
    }
  }
  void step(Event&& event) {
    history_.emplace_back(now_, event);
    Actions actions;
    scheduler_->step(std::move(event), now_, actions);
    if (on_step) on_step(now_, actions);
    const std::uint64_t before = entries_;
    for (Action& action : actions) {
      if (auto* load = std::get_if<Load>(&action)) {
        loads_.insert(loads_.end(), load->jobs.begin(), load->jobs.end());
        continue;
      }
      if (auto* persist = std::get_if<Persist>(&action)) {
        take_entries(std::move(persist->entries));
        continue;
      }
      if (auto* down = std::get_if<SendLane>(&action)) {
        if (const auto* beat = std::get_if<LaneBeat>(&down->message)) {
          acks_told_[down->session] = beat->ack;
          continue;
        }
      }
      actions_.push_back(std::move(action));
    }
    if (entries_ > before && !disk_held) make_durable();
  }
  void make_durable() {
    JournalState journal;
    journal.durable = entries_;
    step(std::move(journal));
  }

  // What another scheduler decides that is told the same. `decided` is called with the actions of each step;
  // if it returns false, no more follow.
  void replay(const std::function<bool(Time, const Actions&)>& decided) const {
    JobIndex index = index_at_start_;
    Scheduler other(options, index, started_);
    for (const auto& [time, event] : history_) {
      Actions actions;
      other.step(Event(event), time, actions);
      if (!decided(time, actions)) return;
    }
  }

  // ---- workers ----

  // Registers and says that it runs nothing and is ready.
  void worker(const std::string& name, std::uint32_t slots) {
    register_worker(name, slots);
    say(name, Held{});
    say(name, Ready{});
    expect_joined(name);
    drain();
  }
  // Up to WELCOME; HELD and READY are the test's.
  void register_worker(const std::string& name, std::uint32_t slots) {
    Peer& peer = peers_[name];
    peer.slots = slots;
    ++peer.try_number;
    hello(name, peer.engine, peer.try_number);
    peer.session = SessionId{sessions_};
    peer.seq = 0;
    expect<Admit>([&](const Admit& admit) { return admit.welcome.session == peer.session; });
    step(LaneBound{peer.session, true});
    step(LaneWritable{peer.session});
  }
  // The engine dies; the supervisor starts another one.
  void new_engine(const std::string& name) {
    Peer& peer = peers_.at(name);
    ++peer.engine;
    register_worker(name, peer.slots);
    expect<CloseSession>();
  }
  void hello(const std::string& name, std::uint32_t engine, std::uint32_t try_number,
             const std::string& from = "") {
    Hello hello;
    hello.worker = id_of(name);
    hello.engine = engine;
    hello.try_number = try_number;
    hello.name = name;
    hello.slots = peers_[name].slots;
    hello.handlers = handlers;
    const std::string peer = name + "." + std::to_string(engine) + "." + std::to_string(try_number) + from;
    step(HelloReceived{peer, hello, SessionId{++sessions_}, keys[name], fingerprint_of(keys[name])});
  }
  void say(const std::string& name, SinkMessage&& message) {
    Peer& peer = peers_.at(name);
    step(SinkReceived{{options.run, peer.session, ++peer.seq}, std::move(message), keys[name]});
  }
  void falls_silent(const std::string& name) { peers_.at(name).beats = false; }
  void held(const std::string& name, JobNumber job, std::uint32_t attempt, Duration elapsed = seconds(1)) {
    const JobFacts facts = facts_of(job);
    say(name, Held{{{facts.key, facts.spec, attempt, elapsed}}});
  }
  void died(const std::string& name, const Numbers& ran) {
    Death death{peers_.at(name).engine - 1, "signal 9 (SIGKILL)", {}};
    for (const JobNumber job : ran) death.ran.push_back(facts_of(job).key);
    say(name, Died{{death}});
  }
  // Of the attempt that was given last, whoever got it.
  JobResult result_of(JobNumber job, Status status) {
    const JobFacts facts = facts_of(job);
    JobResult result;
    result.key = facts.key;
    result.spec = facts.spec;
    result.attempt = 1;
    if (const auto given = last_given_.find(job); given != last_given_.end()) {
      result.handle = given->second.handle;
      result.attempt = given->second.attempt;
    }
    result.ran = ran;
    result.outcome.status = status;
    result.outcome.value = value;
    if (status != Status::kOk)
      result.outcome.kind = kind                         ? *kind
                            : status == Status::kTimeout ? ErrorKind::kTimeout
                                                         : ErrorKind::kExit;
    return result;
  }
  // The result of the attempt that it was given last; `known` = false: as if from an earlier session.
  void result(const std::string& name, JobNumber job, Status status, bool known = true) {
    JobResult result = result_of(job, status);
    if (!known) result.handle = Handle{};
    say(name, Results{{std::move(result)}});
  }
  void ends(const std::string& name, JobNumber job, Status status = Status::kOk) {
    result(name, job, status);
    drain();
  }
  // It has ended there; its result is held back.
  void says_ended(const std::string& name, const Numbers& jobs) {
    Beat beat;
    for (const JobNumber job : jobs) beat.ended.push_back(last_given_.at(job).handle);
    say(name, std::move(beat));
    drain();
  }
  // A beat with the echo of one that went down just now.
  void echoes(const std::string& name) {
    const Duration stamp = (now_ - milliseconds(1)).time_since_epoch();
    say(name, Beat{static_cast<std::uint64_t>(stamp.count()), Duration{0}, {}, {}});
  }
  void returns(const std::string& name, JobNumber job, ReturnReason reason = ReturnReason::kUnstarted) {
    const JobResult given = result_of(job, Status::kOk);
    say(name, Returned{{{given.handle, given.key, given.spec, given.attempt, reason}}});
  }
  // Unstarted, of what it named in HELD.
  void returns_held(const std::string& name, JobNumber job, std::uint32_t attempt) {
    const JobFacts facts = facts_of(job);
    say(name, Returned{{{Handle{}, facts.key, facts.spec, attempt, ReturnReason::kUnstarted}}});
  }

  // ---- what is expected ----

  // Takes the first decision of this type that fits; the test fails if there is none.
  template <class Wanted>
  std::optional<Wanted> expect(const std::function<bool(const Wanted&)>& fits = [](const Wanted&) {
    return true;
  }) {
    for (auto it = actions_.begin(); it != actions_.end(); ++it) {
      const auto* found = std::get_if<Wanted>(&*it);
      if (found == nullptr || !fits(*found)) continue;
      Wanted taken = *found;
      actions_.erase(it);
      return taken;
    }
    ADD_FAILURE() << "an expected decision was not made; open are: " << open_actions();
    return std::nullopt;
  }
  template <class Wanted>
  std::optional<Wanted> expect_report() {
    const auto report = expect<Report>([](const Report& any) { return std::holds_alternative<Wanted>(any); });
    if (!report) return std::nullopt;
    return std::get<Wanted>(*report);
  }
  // What goes to this worker now.
  Numbers take_given(const std::string& name) {
    const SessionId session = peers_.at(name).session;
    Numbers given;
    for (const Action& action : actions_) {
      const Jobs* jobs = jobs_for(session, action);
      if (jobs == nullptr) continue;
      for (const JobOrder& order : jobs->jobs) {
        given.push_back(number_of(order.key));
        last_given_[given.back()] = order;
      }
    }
    std::erase_if(actions_, [&](const Action& action) { return jobs_for(session, action) != nullptr; });
    return given;
  }
  // These jobs go to this worker now, in this order, and no others.
  void expect_given(const std::string& name, const Numbers& jobs) {
    EXPECT_EQ(take_given(name), jobs) << "given to " << name;
  }
  void expect_cancelled(const std::string& name, const Numbers& jobs) {
    expect<SendLane>([&](const SendLane& down) {
      const auto* cancel = std::get_if<Cancel>(&down.message);
      return cancel != nullptr && down.session == peers_.at(name).session && numbers(cancel->jobs) == jobs;
    });
  }
  void expect_recalled(const std::string& name, const Numbers& jobs) {
    expect<SendLane>([&](const SendLane& down) {
      const auto* recall = std::get_if<Recall>(&down.message);
      return recall != nullptr && down.session == peers_.at(name).session && numbers(recall->jobs) == jobs;
    });
  }
  void expect_recorded(JobNumber job, Status status) {
    expect<Persist>([&](const Persist& persist) {
      const auto& record = std::get<Record>(persist.entries.front());
      return record.facts.number == job && record.outcome.status == status;
    });
    if (status != Status::kOk) expect_report<JobEnded>();
  }
  void expect_joined(const std::string& name) {
    const auto joined = expect_report<WorkerJoined>();
    if (joined) {
      EXPECT_EQ(joined->name, name);
    }
  }
  // Its session is over without a word of it.
  void expect_lost(const std::string& name, const LeaveCause& why) {
    const SessionId session = peers_.at(name).session;
    expect<SendLane>([&](const SendLane& down) {
      return down.session == session && std::holds_alternative<End>(down.message);
    });
    expect<CloseSession>([&](const CloseSession& close) { return close.session == session; });
    const auto left = expect_report<WorkerLeft>();
    if (left) {
      EXPECT_EQ(left->name, name);
      EXPECT_TRUE(left->cause == why) << left->cause.index();
    }
    peers_.at(name).beats = false;
  }
  // The last job is recorded: everybody who is there is told so.
  void expect_over() {
    expect<RunOver>();
    std::erase_if(actions_, [](const Action& action) {
      const auto* down = std::get_if<SendLane>(&action);
      return down != nullptr && std::holds_alternative<Stop>(down->message);
    });
  }
  void expect_nothing() {
    EXPECT_EQ(open_actions(), "");
    actions_.clear();
  }
  // For a test of something else.
  void discard_decisions() { actions_.clear(); }
  void TearDown() override { expect_nothing(); }

  // The ack of the last LANE BEAT to this worker.
  std::uint64_t ack_told(const std::string& name) const {
    const auto found = acks_told_.find(peers_.at(name).session);
    return found == acks_told_.end() ? 0 : found->second;
  }
  SessionId session_of(const std::string& name) const { return peers_.at(name).session; }
  std::uint64_t said(const std::string& name) const { return peers_.at(name).seq; }  // its last message
  Time now() const { return now_; }
  Snapshot snapshot() const { return scheduler_->snapshot(now_); }
  RunningJobs running_jobs() const { return scheduler_->running_jobs(now_); }
  const Ledger& ledger() const { return scheduler_->ledger(); }
  std::uint64_t records() const { return records_; }  // issued so far
  std::optional<Time> next_deadline() const { return scheduler_->next_deadline(); }
  RunningList running(std::size_t most) const { return scheduler_->running(now_, most); }
  // As its worker says it of the attempt that it was given last.
  BegunJob begun(JobNumber job, Duration elapsed) const { return {last_given_.at(job).handle, elapsed}; }
  std::uint32_t attempt(JobNumber job) const { return last_given_.at(job).attempt; }

  SchedulerOptions options;
  std::function<void(Time, const Actions&)> on_step;  // sees every decision, in order
  bool disk_held = false;
  JobNumber unread = ~JobNumber{0};              // its line, and those asked for behind it, are not read yet
  std::size_t work_bytes = 0;                    // so much longer is the work of each job
  Duration ran = seconds(1);                     // what a result says of its attempt
  std::string value;                             // and the value in it
  std::optional<ErrorKind> kind;                 // and the kind of its failure
  std::vector<std::string> handlers = {"noop"};  // of those that register from now on
  std::map<std::string, KeyId> keys;             // of workers; KeyId{0} if there is none

 private:
  struct Peer {
    SessionId session;
    std::uint32_t slots = 1;
    std::uint32_t engine = 1;
    std::uint32_t try_number = 0;
    std::uint64_t seq = 0;
    bool beats = true;
  };

  static std::string fingerprint_of(KeyId key) {
    return key == KeyId{} ? "" : "key " + std::to_string(key.value);
  }
  static WorkerId id_of(const std::string& name) { return WorkerId{key_of_id(name).low | 1}; }
  std::string work_of(JobNumber number) const {
    return R"({"cmd":["true",")" + std::to_string(number) + std::string(work_bytes, 'x') + R"("]})";
  }
  JobFacts facts_of(JobNumber number) {
    JobFacts facts;
    facts.number = number;
    facts.line = number + 1;
    facts.id = "job" + std::to_string(number);
    facts.key = key_of_id(facts.id);
    facts.spec = spec_of_work(work_of(number));
    facts.retries = submitted_[number].retries;
    facts.timeout = submitted_[number].timeout;
    facts.slots = submitted_[number].slots;
    Requirement requirement;
    requirement.slots = facts.slots;
    requirement.type = submitted_[number].type;
    facts.requirement = index_.requirement_number(requirement);
    return facts;
  }
  JobNumber number_of(const Key& key) {
    for (JobNumber number = 0; number < submitted_.size(); ++number)
      if (facts_of(number).key == key) return number;
    return submitted_.size();
  }
  Numbers numbers(const std::vector<JobRef>& refs) {
    Numbers found;
    for (const JobRef& ref : refs) found.push_back(number_of(ref.key));
    return found;
  }
  // Each record by itself, so that a test can expect them in any order.
  void take_entries(std::vector<JournalEntry>&& entries) {
    for (JournalEntry& entry : entries) {
      ++entries_;
      if (std::holds_alternative<GrantedName>(entry)) continue;
      ++records_;
      actions_.emplace_back(Persist{{std::move(entry)}});
    }
  }
  static const Jobs* jobs_for(SessionId session, const Action& action) {
    const auto* down = std::get_if<SendLane>(&action);
    return down == nullptr || down->session != session ? nullptr : std::get_if<Jobs>(&down->message);
  }
  std::string open_actions() const {
    static const char* const kNames[] = {"Persist",      "Load",   "Admit",   "Refuse", "SendLane",
                                         "CloseSession", "Report", "RunOver", "Finish"};
    static_assert(std::size(kNames) == std::variant_size_v<Action>);
    std::string text;
    for (const Action& action : actions_) {
      text += (text.empty() ? "" : ", ") + std::string(kNames[action.index()]);
      if (const auto* down = std::get_if<SendLane>(&action))
        text += " (" + std::to_string(down->message.index()) + ")";
      if (const auto* report = std::get_if<Report>(&action))
        text += " (" + std::to_string(report->index()) + ")";
    }
    return text;
  }

  JobIndex index_;
  JobIndex index_at_start_;
  Time started_;
  std::vector<std::pair<Time, Event>> history_;
  std::vector<JobOptions> submitted_;
  std::optional<Scheduler> scheduler_;
  std::map<std::string, Peer> peers_;
  std::map<JobNumber, JobOrder> last_given_;
  std::map<SessionId, std::uint64_t> acks_told_;
  std::vector<JobNumber> loads_;
  Actions actions_;
  std::uint64_t sessions_ = 0;
  std::uint64_t entries_ = 0;  // of the journal
  std::uint64_t records_ = 0;  // of those, results
  Time now_{seconds(1000)};
};

}  // namespace workpool::dispatcher
