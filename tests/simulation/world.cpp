// SPDX-License-Identifier: MIT
#include "tests/simulation/world.h"

#include <algorithm>
#include <string>
#include <utility>

#include "tests/simulation/core_check.h"

namespace workpool::simulation {
namespace {

constexpr Duration kLiveness = seconds(15 * 60);  // after the last fault everything must be done
constexpr Duration kLastResultToExit = seconds(2);
constexpr Duration kRetryInterval = milliseconds(100);

}  // namespace

World::World(std::uint64_t seed, std::size_t trace_lines)
    : random{seed ^ 0x5eed5eed5eed5eed},
      setup(make_setup(seed)),
      books(setup),
      dispatcher(*this),
      trace_lines_(trace_lines) {
  for (std::size_t i = 0; i < setup.workers.size(); ++i) workers.emplace_back(*this, i);
}

void World::trace(const std::function<std::string()>& text) {
  if (trace_lines_ == 0) return;
  std::string line = text();
  if (line.empty()) return;
  trace_.push_back(std::to_string(timeline.now().time_since_epoch().count()) + " " + line);
  if (trace_.size() > trace_lines_) trace_.pop_front();
}

void World::check_limits(const Key& key) {
  for (const Limit& limit : books.plan(key)->requirement.limits) {
    std::uint32_t others = 0;
    for (const WorkerNode& worker : workers) others += worker.running_with(limit);
    const std::string broken = limits.begins(limit, others, timeline.now());
    if (!broken.empty()) books.broke(broken);
  }
}

std::uint64_t World::all_slots() const {
  std::uint64_t slots = 0;
  for (const WorkerPlan& worker : setup.workers) slots += worker.slots;
  return slots;
}

Verdict World::run() {
  const bool late = random.one_in(4);
  timeline.after(late ? random.between(Duration{0}, seconds(5)) : Duration{0},
                 [this] { dispatcher.start(); });
  for (WorkerNode& worker : workers) {
    timeline.after(worker.plan().starts, [&worker] { worker.start(); });
  }
  if (setup.any_fault()) plan_fault();
  const Time limit = Time{setup.healed + kLiveness};
  while (books.broken().empty() && !over_) {
    if (!timeline.step()) books.broke("nothing happens any more");
    if (timeline.now() > limit) books.broke("S11: not done in time");
  }
  if (books.broken().empty()) check_end();
  if (trace_lines_ > 0 && dispatcher.scheduler() != nullptr)
    trace_.push_back(describe_open(dispatcher.scheduler()->ledger(), dispatcher.scheduler()->worker_table()));
  return {setup.seed,         books.broken(), timeline.steps(),
          books.executions(), timeline.now(), {trace_.begin(), trace_.end()}};
}

// The dispatcher has left; the workers follow it.
void World::check_end() {
  const Time limit = finished_at_ + seconds(40);
  const auto all_gone = [this] {
    return std::all_of(workers.begin(), workers.end(),
                       [](const WorkerNode& worker) { return !worker.alive(); });
  };
  while (!all_gone() && timeline.now() < limit && books.broken().empty()) {
    if (!timeline.step()) break;
  }
}

void World::finished(int exit_code) {
  trace([&] { return "dispatcher finished with " + std::to_string(exit_code); });
  const bool signalled = dispatcher.signalled();
  books.check_finish(exit_code, signalled);
  // Every worker that was in a session when the last result had come has left by now, or is about to. One
  // whose session the dispatcher has ended, and that does not know it yet, leaves on its own; so does one
  // with a line so thin that STOP is still behind work on its way.
  const bool calm = healed() && dispatcher.last_record_at() > Time{setup.healed + 3 * setup.worker_timeout};
  const Duration took = timeline.now() - dispatcher.last_record_at();
  const bool all_satisfiable =
      std::all_of(setup.jobs.begin(), setup.jobs.end(), [](const JobPlan& plan) { return plan.satisfiable; });
  const bool at_once = !signalled && !books.given_up() && !books.stopped_by_itself();
  if (calm && all_satisfiable && !setup.streaming && at_once && took > 2 * kLastResultToExit) {
    books.broke("the run took " + std::to_string(took.count()) + " us to end after its last result");
  }
  for (const WorkerNode& worker : workers) {
    const bool in_reach = worker.link() && books.was_connected_at_end(worker.link()->session) &&
                          worker.link()->down->size() == 0;
    if (calm && worker.in_session() && in_reach)
      books.broke("S11: " + worker.plan().name + " was not told that the run is over");
    // One that waited for a dispatcher that was down may give up right when it is back.
    const Time all_well = std::max(Time{setup.healed}, dispatcher.started_at()) + 3 * setup.worker_timeout;
    if (calm && worker.exit_code() && worker.exited_at() > all_well && *worker.exit_code() != 0) {
      books.broke(worker.plan().name + " exited with " + std::to_string(*worker.exit_code()));
    }
  }
  dispatcher.stop();
  if (setup.streaming || books.everything_recorded() || books.enough_ok()) {
    over_ = true;
    finished_at_ = timeline.now();
    return;
  }
  // Stopped, or given up, with jobs left: the same command goes on. What a pipe brought is gone.
  timeline.after(random.spread(milliseconds(10), seconds(5)), [this] { dispatcher.start(); });
}

// ---- registration ----

void World::send_hello(std::size_t number, std::uint64_t incarnation, const Hello& hello) {
  WorkerNode& worker = workers[number];
  const std::string peer =
      std::to_string(number) + ":" + std::to_string(incarnation) + ":" + std::to_string(hello.try_number);
  timeline.after(worker.stalled_up() ? kRetryInterval : 3 * worker.delay(), [this, number, incarnation, hello,
                                                                             peer, &worker] {
    if (worker.stalled_up()) return send_hello(number, incarnation, hello);
    if (dispatcher.up() && is_revoked(worker.key()))
      return worker.answered(incarnation, hello.try_number,
                             worker::RefusedBy{hello.try_number, {kProtocol, Refusal::kOther, "key"}, true});
    if (dispatcher.up())
      return dispatcher.deliver(dispatcher::HelloReceived{peer, hello, SessionId{random.id()}, worker.key()});
    worker.answered(incarnation, hello.try_number,
                    worker::RegistrationFailed{hello.try_number, "connection refused"});
  });
}

void World::answer(const std::string& peer, const RegistrationReply& reply) {
  if (peer == "nobody") return;
  const std::size_t number = std::stoul(peer);
  const std::size_t first = peer.find(':');
  const std::uint64_t incarnation = std::stoull(peer.substr(first + 1));
  const auto try_number = static_cast<std::uint32_t>(std::stoul(peer.substr(peer.rfind(':') + 1)));
  WorkerNode& worker = workers[number];
  timeline.after(worker.stalled_down() ? kRetryInterval : worker.delay(),
                 [this, peer, reply, incarnation, try_number, &worker] {
                   if (worker.stalled_down()) return answer(peer, reply);
                   if (const auto* welcome = std::get_if<Welcome>(&reply))
                     worker.answered(incarnation, try_number, worker::Welcomed{try_number, *welcome});
                   if (const auto* refused = std::get_if<Refused>(&reply))
                     worker.answered(incarnation, try_number, worker::RefusedBy{try_number, *refused});
                 });
}

// ---- faults ----

void World::plan_fault() {
  timeline.after(random.between(setup.between_faults / 4, setup.between_faults * 2), [this] {
    if (healed() || over_) return;
    strike();
    plan_fault();
  });
}

void World::strike() {
  std::uint64_t sum = 0;
  for (const std::uint32_t weight : setup.weights) sum += weight;
  std::uint64_t drawn = random.below(sum);
  std::size_t chosen = 0;
  while (drawn >= setup.weights[chosen]) drawn -= setup.weights[chosen++];
  const auto fault = static_cast<Fault>(chosen);
  trace([&] { return std::string("FAULT ") + name_of(fault); });
  switch (fault) {
    case Fault::kPauseDispatcher:
    case Fault::kCrash:
    case Fault::kSlowDisk:
    case Fault::kNoSpace:
    case Fault::kSignal:
    case Fault::kCrossLane:
    case Fault::kForge:
    case Fault::kImpostor:
      return strike_dispatcher(fault);
    default:
      return strike_worker(fault, workers[random.below(workers.size())]);
  }
}

void World::strike_worker(Fault fault, WorkerNode& worker) {
  const auto a_while = [this] { return random.spread(milliseconds(50), 3 * setup.worker_timeout); };
  // What was running there may have to run again, and what is taken back from another worker for it.
  books.allow_waste(2 * worker.plan().slots);
  switch (fault) {
    case Fault::kCut:
      return worker.cut(true, true);
    case Fault::kCutLane:
      return worker.cut(true, false);
    case Fault::kCutSink:
      return worker.cut(false, true);
    case Fault::kStallUp:
      return worker.stall(true, false, a_while());
    case Fault::kStallDown:
      return worker.stall(false, true, a_while());
    case Fault::kStallBoth:
      return worker.stall(true, true, a_while());
    case Fault::kEngineKill:
      return worker.kill_engine("killed");
    case Fault::kWorkerKill:
      return worker.kill_worker();
    case Fault::kPauseWorker:
      return worker.pause(a_while());
    case Fault::kDrain:
      return worker.ask_to_stop();
    case Fault::kLateLane:
      worker.lane_is_late();
      return worker.cut(true, true);
    case Fault::kNoResources:
      return worker.no_resources();
    case Fault::kLoseDown:
    case Fault::kLoseUp:
      if (worker.link()) (fault == Fault::kLoseUp ? worker.link()->up : worker.link()->down)->lose_next();
      return;
    case Fault::kRevoke:
      return revoke(worker);
    default:
      return;
  }
}

void World::strike_dispatcher(Fault fault) {
  switch (fault) {
    case Fault::kPauseDispatcher:
      if (!setup.only_own_faults()) books.allow_waste(2 * all_slots());
      return dispatcher.pause(random.spread(milliseconds(50), 4 * setup.worker_timeout));
    case Fault::kCrash:
      books.allow_waste(3 * all_slots());
      return dispatcher.crash_within(random.below(60));
    case Fault::kSlowDisk:
      return dispatcher.slow_disk(random.spread(milliseconds(1), seconds(10)));
    case Fault::kNoSpace:
      return dispatcher.no_space(random.spread(milliseconds(50), seconds(10)));
    case Fault::kSignal: {
      books.allow_waste(2 * all_slots());
      const auto kind = static_cast<dispatcher::StopKind>(random.below(3));
      return dispatcher.deliver(dispatcher::StopRequested{kind});
    }
    case Fault::kForge:
      return forge();
    case Fault::kImpostor:
      return impostor();
    case Fault::kCrossLane:
      books.allow_waste(4 * all_slots());
      return dispatcher.cross_lanes();
    default:
      return;
  }
}

// The file of keys has one less. The dispatcher that runs is told; the next start does not know the key.
void World::revoke(WorkerNode& worker) {
  const dispatcher::KeyId key = worker.key();
  if (key == dispatcher::KeyId{} || !revoked_.insert(key).second) return;
  // What it has done and not handed over is lost with it.
  books.allow_waste(setup.jobs.size());
  dispatcher.deliver(dispatcher::KeysRevoked{{key}});
  // If the END does not get through, it tries on with the old key until somebody gives it a new one.
  timeline.after(seconds(5), [&worker, key] {
    if (worker.key() == key) worker.kill_worker();
  });
}

// Somebody with another key says what would do most harm if it were believed.
void World::impostor() {
  if (!dispatcher.up() || setup.jobs.empty()) return;
  const WorkerNode& victim = workers[random.below(workers.size())];
  const dispatcher::KeyId key = random.one_in(2) ? new_key() : workers[random.below(workers.size())].key();
  const auto& table = dispatcher.scheduler()->worker_table();
  const auto known = table.workers().find(victim.id());
  if (known == table.workers().end() || !known->second.session || key == victim.key() ||
      is_revoked(victim.key()))
    return;
  const SessionId session = *known->second.session;
  const Header header{dispatcher.run(), session, table.find(session)->acks.received() + 1};
  const JobPlan& plan = setup.jobs[random.below(setup.jobs.size())];
  JobResult result;
  result.key = plan.facts.key;
  result.spec = plan.facts.spec;
  result.attempt = static_cast<std::uint32_t>(1 + random.below(3));
  const auto say = [&](SinkMessage&& message) {
    dispatcher.deliver(dispatcher::SinkReceived{header, std::move(message), key});
  };
  switch (random.below(7)) {
    case 0:
      return say(Results{{result}});
    case 1:
      return say(Goodbye{});
    case 2:
      return say(Beat{});
    case 3:
      return say(Died{{Death{1, "made up", {plan.facts.key}}}});
    case 4:
      return say(Returned{{ReturnedJob{{}, plan.facts.key, plan.facts.spec, result.attempt}}});
    case 5:
      return dispatcher.deliver(dispatcher::PartReceived{session, key});
    default: {
      Hello hello = known->second.hello;
      ++hello.engine;
      return dispatcher.deliver(dispatcher::HelloReceived{"nobody", hello, SessionId{random.id()}, key});
    }
  }
}

// A result that must not be believed: of another run, of another spec, or of a job that does not exist.
void World::forge() {
  if (setup.jobs.empty() || !dispatcher.up()) return;
  const JobPlan& plan = setup.jobs[random.below(setup.jobs.size())];
  JobResult result;
  result.key = plan.facts.key;
  result.spec = plan.facts.spec;
  result.attempt = static_cast<std::uint32_t>(1 + random.below(3));
  Header header{dispatcher.run(), SessionId{random.id()}, 1 + random.below(5)};
  switch (random.below(4)) {
    case 0:
      header.run.value ^= 1;
      break;
    case 1:
      result.spec.high ^= 1;
      break;
    case 2:
      result.key.high ^= 1;
      break;
    default:
      // A failure of a session that is not known ends nothing.
      result.outcome.status = Status::kFailed;
      result.outcome.kind = ErrorKind::kExit;
      break;
  }
  dispatcher.deliver(dispatcher::SinkReceived{header, Results{{result}}});
}

}  // namespace workpool::simulation
