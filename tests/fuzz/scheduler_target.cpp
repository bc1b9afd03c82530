// SPDX-License-Identifier: MIT
// Workers that say anything, in any order, with any handle, key, spec and attempt: the scheduler must keep
// its books, record each job at most once, and once an honest worker comes, finish the run.
#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "common/base/check.h"
#include "common/wire/codec.h"
#include "dispatcher/core/scheduler.h"
#include "tests/fuzz/books_check.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/targets.h"

namespace workpool::fuzz {
namespace {

using dispatcher::Actions;
using dispatcher::Event;

constexpr RunId kRun{0x77};
constexpr std::size_t kJobs = 12;
constexpr std::size_t kSessionsMost = 40;
constexpr std::uint64_t kHonestWorker = 99;

struct Job {
  dispatcher::JobIndex::Entry entry;
  dispatcher::LoadedJob loaded;
  Requirement requirement;
  Handle handle;              // as last given
  std::uint32_t attempt = 0;  // the same
  int records = 0;
};

constexpr dispatcher::KeyId kHonestKey{9};  // never revoked

struct Peer {
  SessionId session;
  dispatcher::KeyId key;
  std::uint64_t next_seq = 1;
};

class SchedulerWorld {
 public:
  explicit SchedulerWorld(Input& input) : input_(input) {
    const std::uint32_t shape = input_.byte();
    streaming_ = (shape & 1) != 0;
    options_.run = kRun;
    options_.listening = (shape & 2) != 0;
    options_.streaming = streaming_;
    options_.may_withdraw = !streaming_ && (shape & 4) != 0;
    for (std::size_t i = 0; i < kJobs; ++i) add_job(i);
    index_.seal();
    index_.open_queues(false);
    scheduler_.emplace(options_, index_, now_);
    if (!streaming_) return;
    for (const Job& job : jobs_) step(dispatcher::JobArrived{job.loaded, job.requirement});
    step(dispatcher::InputEnded{});
  }

  void misbehave() {
    while (!input_.empty() && !finished_) {
      one_choice();
      check_books(scheduler_->ledger(), scheduler_->worker_table());
    }
  }
  void finish_honestly();

 private:
  void add_job(std::size_t i);
  void step(Event&& event);
  void carry_out(dispatcher::Action& action);
  void persisted(const dispatcher::JournalEntry& entry);
  void given(SessionId session, const JobOrder& order);
  void load(std::size_t most);
  void one_choice();
  void hello();
  void sink();
  void lane();
  void advance();
  void stop_or_block();
  SinkMessage message();
  void deliver(const Header& header, const SinkMessage& message, dispatcher::KeyId key);
  dispatcher::KeyId any_key_of(const Peer& peer);
  void honest_turn(Peer& peer);

  Job& any_job() { return jobs_[input_.pick(kJobs)]; }
  Key any_key(const Job& job);
  Spec any_spec(const Job& job);
  Handle any_handle(const Job& job);
  std::uint32_t any_attempt(const Job& job);
  Duration any_duration();
  Outcome any_outcome();

  Input& input_;
  bool streaming_ = false;
  dispatcher::SchedulerOptions options_;
  dispatcher::JobIndex index_;
  std::optional<dispatcher::Scheduler> scheduler_;
  Time now_{seconds(1000)};
  std::array<Job, kJobs> jobs_;
  std::deque<Peer> peers_;
  std::deque<dispatcher::JobNumber> loads_;
  std::vector<std::pair<SessionId, JobOrder>> given_;
  std::uint64_t sessions_ = 0;
  std::uint64_t hellos_ = 0;
  std::uint64_t entries_ = 0;  // of the journal
  std::uint64_t durable_ = 0;
  bool stopped_ = false;
  bool over_ = false;
  bool finished_ = false;
  std::set<dispatcher::KeyId> revoked_;
  bool honest_ = false;
};

void SchedulerWorld::add_job(std::size_t i) {
  Job& job = jobs_[i];
  Requirement requirement;
  if (i % 3 == 1) requirement.type = "echo";
  if (i % 3 == 2) requirement.slots = 2;
  dispatcher::JobFacts& facts = job.loaded.facts;
  job.loaded.work = R"({"cmd":["true",")" + std::to_string(i) + "\"]}";
  facts.number = i;
  facts.line = i + 1;
  facts.id = "job" + std::to_string(i);
  facts.key = key_of_id(facts.id);
  facts.spec = spec_of_work(job.loaded.work);
  facts.requirement = index_.requirement_number(requirement);
  job.requirement = requirement;
  facts.priority = static_cast<std::int32_t>(i % 2);
  facts.retries = static_cast<std::uint32_t>(i % 3);
  facts.slots = requirement.slots;
  facts.payload_bytes = static_cast<std::uint32_t>(job.loaded.work.size());
  if (!streaming_) {
    index_.add({facts.key.high, facts.spec.high, 100 * i, facts.line, 0, facts.requirement, facts.priority});
  }
}

// ---- the loop's part ----

void SchedulerWorld::step(Event&& event) {
  Actions actions;
  const bool foreign = is_foreign(*scheduler_, event, revoked_);
  if (const auto* gone = std::get_if<dispatcher::KeysRevoked>(&event))
    revoked_.insert(gone->keys.begin(), gone->keys.end());
  scheduler_->step(std::move(event), now_, actions);
  check_keys(*scheduler_, actions, foreign, revoked_);
  for (dispatcher::Action& action : actions) carry_out(action);
}

void SchedulerWorld::carry_out(dispatcher::Action& action) {
  if (const auto* persist = std::get_if<dispatcher::Persist>(&action)) {
    CHECK(!finished_);
    for (const dispatcher::JournalEntry& entry : persist->entries) persisted(entry);
  } else if (auto* wanted = std::get_if<dispatcher::Load>(&action)) {
    CHECK(!streaming_);
    loads_.insert(loads_.end(), wanted->jobs.begin(), wanted->jobs.end());
  } else if (auto* admit = std::get_if<dispatcher::Admit>(&action)) {
    const bool bound = honest_ || !input_.once(8);
    step(dispatcher::LaneBound{admit->welcome.session, bound});
  } else if (const auto* down = std::get_if<dispatcher::SendLane>(&action)) {
    if (const auto* jobs = std::get_if<Jobs>(&down->message)) {
      for (const JobOrder& order : jobs->jobs) given(down->session, order);
    }
  } else if (const auto* report = std::get_if<dispatcher::Report>(&action)) {
    if (const auto* withdrawn = std::get_if<dispatcher::FailuresWithdrawn>(report)) {
      for (const dispatcher::JobEnded& failure : withdrawn->failures)
        CHECK(failure.line <= kJobs && jobs_[failure.line - 1].records-- == 1);
    }
  } else if (std::holds_alternative<dispatcher::RunOver>(action)) {
    over_ = true;
  } else if (std::holds_alternative<dispatcher::Finish>(action)) {
    finished_ = true;
  }
}

void SchedulerWorld::persisted(const dispatcher::JournalEntry& entry) {
  ++entries_;
  const auto* record = std::get_if<dispatcher::Record>(&entry);
  if (record == nullptr) return;
  CHECK(record->facts.number < kJobs);
  Job& job = jobs_[record->facts.number];
  CHECK(++job.records == 1);
  CHECK(record->facts.key == job.loaded.facts.key && record->facts.spec == job.loaded.facts.spec);
  CHECK(record->facts.id == job.loaded.facts.id);
}

void SchedulerWorld::given(SessionId session, const JobOrder& order) {
  const auto job = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& candidate) {
    return candidate.loaded.facts.key == order.key;
  });
  CHECK(job != jobs_.end() && job->records == 0);
  CHECK(order.attempt > 0 && order.work == job->loaded.work);
  job->handle = order.handle;
  job->attempt = order.attempt;
  given_.emplace_back(session, order);
}

void SchedulerWorld::load(std::size_t most) {
  dispatcher::JobsLoaded loaded;
  for (; most > 0 && !loads_.empty(); --most) {
    loaded.jobs.push_back(jobs_[loads_.front()].loaded);
    loads_.pop_front();
  }
  if (!loaded.jobs.empty()) step(std::move(loaded));
}

// ---- what peers say ----

Key SchedulerWorld::any_key(const Job& job) {
  Key key = job.loaded.facts.key;
  if (input_.once(6)) key.low ^= 1;  // the prefix that the index knows, of another job
  if (input_.once(12)) key = Key{{input_.word(), 1}};
  return key;
}

Spec SchedulerWorld::any_spec(const Job& job) {
  Spec spec = job.loaded.facts.spec;
  if (input_.once(8)) spec.low ^= 1;
  if (input_.once(12)) spec.high ^= 1;
  return spec;
}

Handle SchedulerWorld::any_handle(const Job& job) {
  switch (input_.pick(6)) {
    case 0:
      return Handle{};
    case 1:
      return any_job().handle;
    case 2:
      return Handle{input_.word()};
    default:
      return job.handle;
  }
}

std::uint32_t SchedulerWorld::any_attempt(const Job& job) {
  switch (input_.pick(8)) {
    case 0:
      return job.attempt + 1;
    case 1:
      return job.attempt - 1;
    case 2:
      return 1 << 30;
    case 3:
      return static_cast<std::uint32_t>(input_.word());
    default:
      return job.attempt;
  }
}

Duration SchedulerWorld::any_duration() {
  static const Duration kSome[] = {Duration{0}, Duration{1}, milliseconds(30), seconds(20),
                                   seconds(3'000'000'000)};
  return kSome[input_.pick(5)];
}

Outcome SchedulerWorld::any_outcome() {
  Outcome outcome;
  outcome.status = static_cast<Status>(input_.pick(3));
  if (outcome.status != Status::kOk) outcome.kind = static_cast<ErrorKind>(1 + input_.pick(5));
  if (input_.once(2)) outcome.command.emplace();
  return outcome;
}

SinkMessage SchedulerWorld::message() {
  const std::size_t count = input_.pick(4);
  const std::uint32_t kind = input_.pick(16);
  if (kind < 5) {
    Results results;
    for (std::size_t i = 0; i <= count; ++i) {
      const Job& job = any_job();
      results.results.push_back({any_handle(job), any_key(job), any_spec(job), any_attempt(job),
                                 any_duration(), any_duration(), any_outcome()});
    }
    return results;
  }
  if (kind < 8) {
    Returned returned;
    for (std::size_t i = 0; i <= count; ++i) {
      const Job& job = any_job();
      returned.jobs.push_back({any_handle(job), any_key(job), any_spec(job), any_attempt(job),
                               static_cast<ReturnReason>(input_.pick(4))});
    }
    return returned;
  }
  if (kind < 11) {
    Held held;
    for (std::size_t i = 0; i < count; ++i) {
      const Job& job = any_job();
      held.jobs.push_back({any_key(job), any_spec(job), any_attempt(job), any_duration()});
    }
    return held;
  }
  if (kind < 13) return Ready{!input_.once(4)};
  if (kind == 13) {
    Death death{input_.byte(), "signal 11", {}};
    for (std::size_t i = 0; i < count; ++i) death.ran.push_back(any_key(any_job()));
    return Died{{death, Death{input_.byte(), "", {any_key(any_job())}}}};
  }
  if (kind == 14) {
    const std::uint64_t now = static_cast<std::uint64_t>(now_.time_since_epoch().count());
    Beat beat{input_.once(2) ? input_.word() : now - input_.byte(),
              any_duration(),
              {{any_handle(any_job()), any_duration()}},
              {}};
    for (std::size_t i = 0; i < count; ++i) beat.ended.push_back(any_handle(any_job()));
    return beat;
  }
  return Goodbye{};
}

// Over the wire: what does not decode never gets to the scheduler.
void SchedulerWorld::deliver(const Header& header, const SinkMessage& message, dispatcher::KeyId key) {
  std::string frame;
  encode(header, message, frame);
  auto decoded = decode_sink(frame);
  if (!decoded) return;
  step(dispatcher::SinkReceived{decoded->header, std::move(std::get<SinkMessage>(decoded->content)), key});
}

dispatcher::KeyId SchedulerWorld::any_key_of(const Peer& peer) {
  return input_.once(6) ? dispatcher::KeyId{input_.pick(5)} : peer.key;
}

void SchedulerWorld::sink() {
  if (peers_.empty()) return;
  Peer& peer = peers_[input_.pick(peers_.size())];
  Header header{kRun, peer.session, peer.next_seq};
  switch (input_.pick(24)) {
    case 0:
      header.run.value ^= 1;
      break;
    case 1:
      header.session.value ^= 1ull << 40;
      break;
    case 2:
      header.seq = input_.word();
      break;
    case 3:
      ++header.seq;
      break;
    default:
      ++peer.next_seq;
      break;
  }
  deliver(header, message(), any_key_of(peer));
}

void SchedulerWorld::hello() {
  if (sessions_ >= kSessionsMost) return;
  dispatcher::HelloReceived event;
  event.peer = "peer";
  event.hello.worker = {1 + input_.pick(3)};
  event.hello.engine =
      1 + static_cast<std::uint32_t>(hellos_ / 4) * (input_.once(3) ? 1 : 0) + input_.pick(2);
  event.hello.try_number = static_cast<std::uint32_t>(++hellos_);
  event.hello.name = "w";
  event.hello.slots = input_.once(8) ? 1 << 20 : input_.pick(4);
  if (input_.once(2)) event.hello.handlers = {"echo"};
  event.fresh = {++sessions_};
  event.key = {input_.once(6) ? 1 + input_.pick(4) : static_cast<std::uint32_t>(event.hello.worker.value)};
  peers_.push_back({event.fresh, event.key});
  step(std::move(event));
}

void SchedulerWorld::lane() {
  if (peers_.empty()) return;
  const Peer& peer = peers_[input_.pick(peers_.size())];
  const SessionId session = peer.session;
  switch (input_.pick(6)) {
    case 0:
      return step(dispatcher::LaneGone{session});
    case 1:
      return step(dispatcher::PartReceived{session, any_key_of(peer)});
    case 2:
      return step(dispatcher::LaneBound{session, !input_.once(2)});
    default:
      return step(dispatcher::LaneWritable{session});
  }
}

void SchedulerWorld::advance() {
  static const Duration kSteps[] = {Duration{0}, milliseconds(1), milliseconds(100),
                                    seconds(1),  seconds(4),      seconds(11)};
  now_ += kSteps[input_.pick(6)];
}

void SchedulerWorld::stop_or_block() {
  switch (input_.pick(16)) {
    case 0:
      stopped_ = true;
      return step(dispatcher::StopRequested{static_cast<dispatcher::StopKind>(input_.pick(3))});
    case 1:
      return step(dispatcher::JournalState{durable_, true, true, 0});
    case 2:
      return step(dispatcher::KeysRevoked{{dispatcher::KeyId{1 + input_.pick(4)}}});
    default:
      return step(dispatcher::JournalState{durable_, false, false, 0});
  }
}

void SchedulerWorld::one_choice() {
  switch (input_.pick(16)) {
    case 0:
      return hello();
    case 1:
    case 2:
      return lane();
    case 3:
      return load(1 + input_.pick(4));
    case 4:
      return load(kJobs);
    case 5:
      durable_ = std::min(entries_, durable_ + 1 + input_.pick(4));
      return step(dispatcher::JournalState{durable_, false, false, 0});
    case 6:
      return advance();
    case 7:
    case 8:
    case 9:
      return step(dispatcher::Drained{!input_.once(8)});
    case 10:
      return stop_or_block();
    case 11: {
      const auto decoded = decode_sink(input_.take(64));
      if (decoded && std::holds_alternative<SinkMessage>(decoded->content)) {
        step(dispatcher::SinkReceived{decoded->header, std::get<SinkMessage>(decoded->content)});
      }
      return;
    }
    default:
      return sink();
  }
}

// ---- the honest worker ----

void SchedulerWorld::honest_turn(Peer& peer) {
  now_ += seconds(1);
  deliver({kRun, peer.session, peer.next_seq++}, Beat{}, peer.key);
  load(kJobs);
  durable_ = entries_;
  step(dispatcher::JournalState{durable_, false, false, 0});
  for (auto& [session, order] : std::exchange(given_, {})) {
    if (session != peer.session) continue;
    JobResult result{order.handle, order.key, order.spec, order.attempt, {}, milliseconds(1), {}};
    deliver({kRun, peer.session, peer.next_seq++}, Results{{result}}, peer.key);
  }
  step(dispatcher::Drained{});
  check_books(scheduler_->ledger(), scheduler_->worker_table());
}

void SchedulerWorld::finish_honestly() {
  if (stopped_ || over_ || finished_) return;
  honest_ = true;
  // Whoever is still there falls silent.
  for (int i = 0; i < 60; ++i) {
    now_ += milliseconds(500);
    load(kJobs);
    step(dispatcher::Drained{});
    check_books(scheduler_->ledger(), scheduler_->worker_table());
  }
  CHECK(scheduler_->ledger().jobs().assigned() == 0);
  dispatcher::HelloReceived event;
  event.hello.worker = {kHonestWorker};
  event.hello.engine = event.hello.try_number = 1;
  event.hello.name = "honest";
  event.hello.slots = 2;
  event.hello.handlers = {"echo"};
  event.fresh = {++sessions_};
  event.key = kHonestKey;
  Peer peer{event.fresh, event.key};
  given_.clear();
  step(std::move(event));
  durable_ = entries_;  // its name is
  step(dispatcher::JournalState{durable_, false, false, 0});
  step(dispatcher::LaneWritable{peer.session});
  deliver({kRun, peer.session, peer.next_seq++}, Held{}, peer.key);
  deliver({kRun, peer.session, peer.next_seq++}, Ready{true}, peer.key);
  for (int turn = 0; turn < 400 && !over_; ++turn) honest_turn(peer);
  CHECK(over_);
  for (const Job& job : jobs_) CHECK(job.records == 1);
}

}  // namespace

void run_scheduler(std::string_view input) {
  Input choices(input);
  SchedulerWorld world(choices);
  world.misbehave();
  world.finish_honestly();
}

}  // namespace workpool::fuzz
