// SPDX-License-Identifier: MIT
#include "tests/simulation/dispatcher_node.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/core_check.h"
#include "tests/simulation/world.h"

namespace workpool::simulation {
namespace {

constexpr Duration kLoopInterval = milliseconds(250);
constexpr std::size_t kJobsMost = 64;
constexpr std::size_t kPartBytes = 64 * 1024;

std::size_t parts_of(const LaneMessage& message) {
  std::size_t bytes = 100;
  if (const auto* jobs = std::get_if<Jobs>(&message)) {
    for (const JobOrder& order : jobs->jobs) bytes += 96 + order.work.size();
  }
  return 1 + bytes / kPartBytes;
}

}  // namespace

DispatcherNode::DispatcherNode(World& world) : world_(world) {}

Time DispatcherNode::local() const { return world_.setup.clock.local(world_.timeline.now()); }

void DispatcherNode::later(Duration delay, std::function<void()> what) {
  world_.timeline.after(delay, [this, life = life_, what = std::move(what)] {
    if (life == life_ && scheduler_) what();
  });
}

// ---- life ----

void DispatcherNode::start() {
  const Setup& setup = world_.setup;
  if (run_.value == 0) run_ = RunId{world_.random.id()};
  ++life_;
  started_at_ = world_.timeline.now();
  world_.trace([&] { return "dispatcher starts, life " + std::to_string(life_); });
  world_.books.dispatcher_started();
  index_ = std::make_unique<dispatcher::JobIndex>();
  dispatcher::AlreadyDone done;
  for (const JobPlan& plan : setup.jobs) {
    const std::uint32_t requirement = index_->requirement_number(plan.requirement);
    if (setup.streaming) continue;
    index_->add(
        {plan.facts.key.high, plan.facts.spec.high, 0, plan.facts.line, 0, requirement, plan.facts.priority});
  }
  index_->seal();
  for (const JobPlan& plan : setup.jobs) {
    const auto past = world_.books.past(plan.facts.key);
    if (!past) continue;
    index_->ids().set_past(plan.facts.number, *past == Status::kOk ? dispatcher::JobRegister::Past::kOk
                                                                   : dispatcher::JobRegister::Past::kFailed);
    ++(*past == Status::kOk            ? done.ok
       : *past == Status::kTimeout     ? done.timeout
       : *past == Status::kQuarantined ? done.quarantined
                                       : done.failed);
  }
  index_->open_queues(false);
  dispatcher::SchedulerOptions options;
  options.run = run_;
  options.worker_timeout = setup.worker_timeout;
  options.crash_limit = setup.crash_limit;
  options.unsatisfiable_after = setup.unsatisfiable_after;
  options.grace = setup.grace;
  options.listening = setup.listening;
  options.streaming = setup.streaming;
  options.may_withdraw = !setup.streaming;
  options.stop = setup.stop;
  options.jobs_most = kJobsMost;
  scheduler_ = std::make_unique<dispatcher::Scheduler>(options, *index_, local());
  inbox_.clear();
  actions_.clear();
  lanes_.clear();
  session_keys_.clear();
  worker_keys_.clear();
  revoked_.clear();
  loads_.clear();
  answering_ = syncing_ = full_ = paused_ = run_over_ = signalled_ = loop_planned_ = false;
  issued_ = written_ = durable_ = 0;
  sync_time_ = milliseconds(2);
  crash_in_.reset();
  deliver(dispatcher::NamesKnown{world_.books.names()});
  deliver(done);
  // Whoever left with the start before is started again too.
  for (WorkerNode& worker : world_.workers) worker.come_back(world_.random.between(Duration{0}, seconds(1)));
  if (setup.streaming) feed_stream();
}

void DispatcherNode::feed_stream() {
  for (const JobPlan& plan : world_.setup.jobs) {
    later(plan.appears, [this, &plan] {
      if (plan.invalid) return deliver(dispatcher::InvalidLine{plan.facts, "no job"});
      deliver(dispatcher::JobArrived{{plan.facts, SharedBytes(plan.work)}, plan.requirement});
    });
  }
  later(seconds(10), [this] { deliver(dispatcher::InputEnded{}); });
}

void DispatcherNode::crash(Duration down) {
  if (!scheduler_) return;
  world_.trace([&] { return "dispatcher crashes"; });
  // What was written but not synced may have reached the disk or not, from the front.
  const std::uint64_t kept = durable_ + world_.random.below(written_ - durable_ + 1);
  world_.books.dispatcher_crashed(kept);
  scheduler_.reset();
  for (auto& [session, lane] : lanes_) {
    for (const auto& link : lane.receivers) {
      link->down->cut(world_.random.below(link->down->size() + 1));
      link->lane_broken = true;
    }
  }
  lanes_.clear();
  for (WorkerNode& worker : world_.workers) worker.dispatcher_gone();
  ++life_;
  world_.timeline.after(down, [this] { start(); });
}

void DispatcherNode::pause(Duration how_long) {
  if (!scheduler_) return;
  world_.trace([&] { return "dispatcher pauses for " + std::to_string(how_long.count()); });
  if (!std::exchange(paused_, true)) paused_at_ = local();
  later(how_long, [this, number = ++pause_number_] {
    if (number != pause_number_) return;
    world_.trace([] { return "dispatcher goes on"; });
    paused_ = false;
    world_.books.dispatcher_stood_still(local() - paused_at_);
    wake_loop(Duration{0});
  });
}

// ---- the loop ----

void DispatcherNode::deliver(dispatcher::Event&& event) {
  if (!scheduler_) return;
  inbox_.push_back(std::move(event));
  wake_loop(microseconds(static_cast<std::int64_t>(world_.random.below(1500))));
}

void DispatcherNode::wake_loop(Duration delay) {
  if (loop_planned_ || paused_) return;
  loop_planned_ = true;
  later(delay, [this] {
    loop_planned_ = false;
    loop();
  });
}

void DispatcherNode::tick() {
  Time due = local() + kLoopInterval;
  if (const auto deadline = scheduler_->next_deadline()) due = std::min(due, *deadline);
  const Time when = std::max(world_.setup.clock.global(due), world_.timeline.now() + microseconds(50));
  world_.timeline.at(when, [this, life = life_, number = ++tick_number_] {
    if (life == life_ && number == tick_number_ && scheduler_ && !loop_planned_) loop();
  });
}

void DispatcherNode::loop() {
  if (paused_) return;
  // A turn takes a bounded number of frames, as the real one does.
  const bool whole = inbox_.size() <= 512;
  std::vector<dispatcher::Event> events;
  if (whole) {
    events.swap(inbox_);
  } else {
    events.assign(std::make_move_iterator(inbox_.begin()), std::make_move_iterator(inbox_.begin() + 512));
    inbox_.erase(inbox_.begin(), inbox_.begin() + 512);
  }
  events.emplace_back(dispatcher::Drained{whole});
  const Time now = local();
  for (dispatcher::Event& event : events) {
    const std::size_t from = actions_.size();
    world_.trace([&] { return describe(event); });
    signalled_ = signalled_ || std::holds_alternative<dispatcher::StopRequested>(event);
    const bool foreign = is_foreign(event);
    // It changes nothing, in the books neither.
    world_.books.before_step(foreign ? dispatcher::Event(dispatcher::Drained{whole}) : event);
    if (const auto* gone = std::get_if<dispatcher::KeysRevoked>(&event))
      revoked_.insert(gone->keys.begin(), gone->keys.end());
    scheduler_->step(std::move(event), now, actions_);
    if (foreign) check_foreign(from);
    for (const auto& [id, worker] : scheduler_->worker_table().workers())
      worker_keys_.emplace(id, worker.key);
    world_.books.after_step(actions_, from, now);
    if (!world_.books.broken().empty()) return;
  }
  check_core();
  const std::uint64_t life = life_;
  // Record, then send, then report.
  if (!carry_out() || life != life_ || !scheduler_) return;
  if (!inbox_.empty()) wake_loop(Duration{0});
  tick();
}

bool DispatcherNode::carry_out() {
  dispatcher::Actions actions = std::exchange(actions_, {});
  const auto crashes = [this] {
    if (!crash_in_ || world_.healed()) return false;
    if ((*crash_in_)-- > 0) return false;
    crash_in_.reset();
    crash(world_.random.spread(milliseconds(10), seconds(15)));
    return true;
  };
  for (dispatcher::Action& action : actions) {
    const auto* persist = std::get_if<dispatcher::Persist>(&action);
    for (std::size_t left = persist == nullptr ? 0 : persist->entries.size(); left > 0; --left) {
      ++issued_;
      write();
      if (crashes()) return false;
    }
  }
  for (dispatcher::Action& action : actions) {
    world_.trace([&] { return describe(action); });
    carry_out(action);
    if (!scheduler_ || crashes()) return false;
  }
  return true;
}

void DispatcherNode::carry_out(dispatcher::Action& action) {
  struct Visitor {
    DispatcherNode& self;
    void operator()(dispatcher::Persist&) {}
    void operator()(dispatcher::Report&) {}
    void operator()(dispatcher::Load& a) { self.load(a); }
    void operator()(dispatcher::Admit& a) { self.admit(a); }
    void operator()(dispatcher::Refuse& a) {
      self.world_.answer(a.peer, Refused{kProtocol, code_of(a.cause), {}});
    }
    void operator()(dispatcher::SendLane& a) { self.send(a.session, std::move(a.message)); }
    void operator()(dispatcher::CloseSession& a) { self.close_lane(a.session, a.say_end); }
    void operator()(dispatcher::RunOver&) { self.run_over_ = true; }
    void operator()(dispatcher::Finish& a) {
      self.world_.finished(exit_status(dispatcher::exit_code_of(a.end)));
    }
  };
  std::visit(Visitor{*this}, action);
}

bool DispatcherNode::is_foreign(const dispatcher::Event& event) const {
  const auto of_other = [](const auto& known, const auto& id, dispatcher::KeyId key) {
    const auto found = known.find(id);
    return found != known.end() && found->second != key;
  };
  if (const auto* sink = std::get_if<dispatcher::SinkReceived>(&event))
    return revoked_.contains(sink->key) || of_other(session_keys_, sink->header.session, sink->key);
  if (const auto* part = std::get_if<dispatcher::PartReceived>(&event))
    return revoked_.contains(part->key) || of_other(session_keys_, part->session, part->key);
  if (const auto* hello = std::get_if<dispatcher::HelloReceived>(&event))
    return revoked_.contains(hello->key) || (of_other(worker_keys_, hello->hello.worker, hello->key) &&
                                             !revoked_.contains(worker_keys_.at(hello->hello.worker)));
  return false;
}

void DispatcherNode::check_foreign(std::size_t from) {
  for (std::size_t i = from; i < actions_.size(); ++i) {
    const auto* report = std::get_if<dispatcher::Report>(&actions_[i]);
    const bool harmless = std::holds_alternative<dispatcher::Refuse>(actions_[i]) ||
                          (report != nullptr && std::holds_alternative<dispatcher::SpokeForAnother>(*report));
    if (!harmless) world_.books.broke("S13: what came with a foreign key led to " + describe(actions_[i]));
  }
}

void DispatcherNode::stop() {
  scheduler_.reset();
  for (auto& [session, lane] : lanes_) {
    for (const auto& link : lane.receivers) link->lane_broken = true;
  }
  lanes_.clear();
  for (WorkerNode& worker : world_.workers) worker.dispatcher_gone();
  ++life_;
}

void DispatcherNode::check_core() {
  const bool thorough = ++checks_ % 16 == 0;
  std::string fault = check_ledger(scheduler_->ledger(), scheduler_->worker_table(), thorough);
  if (fault.empty()) fault = check_fleet(scheduler_->placement().fleet());
  if (!fault.empty()) world_.books.broke(fault);
}

// ---- lanes ----

void DispatcherNode::admit(dispatcher::Admit& admit) {
  session_keys_[admit.welcome.session] = admit.key;
  const bool bound = !world_.may(Fault::kNoResources) || !world_.random.one_in(10);
  deliver(dispatcher::LaneBound{admit.welcome.session, bound});
  if (!bound) return world_.answer(admit.peer, Refused{kProtocol, Refusal::kLater, "no port"});
  lanes_[admit.welcome.session];
  world_.answer(admit.peer, admit.welcome);
}

bool DispatcherNode::attach_lane(const std::shared_ptr<Link>& link, bool reuse) {
  if (!scheduler_) return false;
  auto found = lanes_.find(link->session);
  if (found == lanes_.end()) {
    // Its port may be another session's by now.
    if (!reuse || lanes_.empty() || !world_.random.one_in(3)) return false;
    found = std::next(lanes_.begin(), static_cast<std::ptrdiff_t>(world_.random.below(lanes_.size())));
  }
  const SessionId session = found->first;
  Lane& lane = found->second;
  if (lane.gone) return false;
  lane.receivers.push_back(link);
  if (lane.was_writable) return true;
  later(microseconds(static_cast<std::int64_t>(world_.random.below(5000))), [this, session] {
    const auto lane_now = lanes_.find(session);
    if (lane_now == lanes_.end() || lane_now->second.was_writable || lane_now->second.gone) return;
    lane_now->second.was_writable = true;
    for (auto& [header, message] : std::exchange(lane_now->second.waiting, {}))
      put_on_wire(lane_now->second, header, message);
    deliver(dispatcher::LaneWritable{session});
  });
  return true;
}

void DispatcherNode::lane_lost(SessionId, const std::shared_ptr<Link>& link) {
  if (!scheduler_) return;
  for (auto& [id, lane] : lanes_) {
    const auto at = std::find(lane.receivers.begin(), lane.receivers.end(), link);
    if (at == lane.receivers.end()) continue;
    lane.receivers.erase(at);
    if (!lane.receivers.empty() || !lane.was_writable) continue;
    lane.gone = true;
    later(world_.random.between(milliseconds(1), milliseconds(250)), [this, session = id] {
      if (lanes_.contains(session)) deliver(dispatcher::LaneGone{session});
    });
  }
}

void DispatcherNode::send(SessionId session, LaneMessage&& message) {
  const auto found = lanes_.find(session);
  if (found == lanes_.end()) return;
  if (std::holds_alternative<Jobs>(message) && revoked_.contains(session_keys_[session]))
    world_.books.broke("S14: jobs for a worker whose key has been taken back");
  Lane& lane = found->second;
  const Header header{run_, session, lane.next_seq++};
  if (lane.gone) return;
  if (!lane.was_writable) {
    lane.waiting.emplace_back(header, std::move(message));
    return;
  }
  put_on_wire(lane, header, message);
}

void DispatcherNode::put_on_wire(Lane& lane, const Header& header, const LaneMessage& message) {
  if (lane.receivers.empty()) return;
  std::shared_ptr<Link> link = lane.receivers[lane.turn++ % lane.receivers.size()];
  if (lane.crossed_frames > 0) {
    --lane.crossed_frames;
    link = lane.crossed;
  }
  WorkerNode& worker = world_.workers[link->worker];
  const std::size_t parts = parts_of(message);
  for (std::size_t part = 1; part < parts; ++part) {
    link->down->push(worker.delay(), worker.plan().a_part, [link, &worker, session = header.session] {
      if (link->open) worker.deliver(worker::LanePart{session});
    });
  }
  link->down->push(worker.delay(), parts > 1 ? worker.plan().a_part : microseconds(5),
                   [link, &worker, header, message] {
                     if (link->open) worker.deliver(worker::LaneReceived{header, message});
                   });
}

// A worker sits on another one's lane, as happens when a port is used again, and takes its next messages;
// the worst case is the one in which the numbers fit.
void DispatcherNode::cross_lanes() {
  std::vector<Lane*> open;
  for (auto& [session, lane] : lanes_) {
    if (lane.was_writable && !lane.gone && !lane.receivers.empty()) open.push_back(&lane);
  }
  if (open.size() < 2) return;
  Lane* from = open[world_.random.below(open.size())];
  Lane* to = open[world_.random.below(open.size())];
  for (Lane* lane : open) {
    if (lane != from && lane->next_seq == from->next_seq) to = lane;
  }
  if (to == from) return;
  from->crossed = to->receivers.front();
  from->crossed_frames = static_cast<std::uint32_t>(world_.random.between(1, 4));
}

void DispatcherNode::close_lane(SessionId session, bool say_end) {
  const auto found = lanes_.find(session);
  if (found == lanes_.end()) return;
  const auto close = [this, session] {
    const auto lane = lanes_.find(session);
    if (lane == lanes_.end()) return;
    // LINGER 0: what the kernel has may still get there.
    for (const auto& link : lane->second.receivers) {
      link->down->cut(world_.random.below(link->down->size() + 1));
      link->lane_broken = true;
    }
    lanes_.erase(lane);
  };
  if (!say_end) return close();
  later(seconds(2), close);
}

// ---- reader and writer ----

void DispatcherNode::load(const dispatcher::Load& load) {
  loads_.insert(loads_.end(), load.jobs.begin(), load.jobs.end());
  answer_loads();
}

void DispatcherNode::answer_loads() {
  if (answering_ || loads_.empty()) return;
  answering_ = true;
  const Duration delay =
      world_.random.one_in(20) ? world_.random.spread(milliseconds(1), seconds(2)) : microseconds(200);
  later(delay, [this] {
    answering_ = false;
    dispatcher::JobsLoaded loaded;
    const std::uint64_t most = 1 + world_.random.below(loads_.size());
    for (std::uint64_t i = 0; i < most; ++i) {
      const JobPlan& plan = world_.setup.jobs[loads_.front()];
      loads_.pop_front();
      dispatcher::LoadedJob job{plan.facts, SharedBytes(plan.work)};
      job.facts.requirement = index_->requirement_number(plan.requirement);
      loaded.jobs.push_back(std::move(job));
    }
    deliver(std::move(loaded));
    answer_loads();
  });
}

void DispatcherNode::write() {
  if (full_) return;
  written_ = issued_;
  sync();
}

void DispatcherNode::sync() {
  if (syncing_ || durable_ == written_ || full_) return;
  syncing_ = true;
  later(world_.random.between(sync_time_ / 2, sync_time_), [this, up_to = written_] {
    syncing_ = false;
    durable_ = up_to;
    last_record_at_ = world_.timeline.now();
    world_.books.durable(durable_);
    tell_writer();
    sync();
  });
}

void DispatcherNode::tell_writer() {
  const bool behind = full_ || issued_ - durable_ > 40;
  deliver(dispatcher::JournalState{durable_, behind, full_, 0});
}

void DispatcherNode::no_space(Duration how_long) {
  if (!scheduler_ || full_) return;
  full_ = true;
  tell_writer();
  later(how_long, [this] {
    full_ = false;
    written_ = issued_;
    sync();
    tell_writer();
  });
}

}  // namespace workpool::simulation
