// SPDX-License-Identifier: MIT
// The machine: supervisor, loop and connections. What runs on it is in runner.cpp.
#include "tests/simulation/worker_node.h"

#include <algorithm>
#include <utility>

#include "tests/simulation/core_check.h"
#include "tests/simulation/world.h"

namespace workpool::simulation {
namespace {

constexpr Duration kTendInterval = milliseconds(250);
constexpr Duration kConnectLimit = seconds(5);
constexpr std::size_t kPartBytes = 64 * 1024;

}  // namespace

WorkerNode::WorkerNode(World& world, std::size_t number)
    : world_(world), number_(number), plan_(world.setup.workers[number]) {}

Time WorkerNode::local() const { return plan_.clock.local(world_.timeline.now()); }

Duration WorkerNode::delay() { return plan_.latency + world_.random.between(Duration{0}, plan_.jitter); }

void WorkerNode::later(Duration delay, bool waits, std::function<void()> what) {
  world_.timeline.after(delay, [this, waits, incarnation = incarnation_, what = std::move(what)] {
    if (incarnation != incarnation_ || !alive_) return;
    if (paused_ && waits) {
      deferred_.push_back([this, incarnation, what] {
        if (incarnation == incarnation_) what();
      });
    } else {
      what();
    }
  });
}

// ---- supervisor ----

void WorkerNode::start() {
  if (alive_) return;
  alive_ = true;
  coming_ = stopping_ = false;
  exit_code_.reset();
  id_ = WorkerId{world_.random.id()};
  plan_stop_of_handler();
  if (key_ == dispatcher::KeyId{} || world_.is_revoked(key_)) key_ = world_.new_key();
  engine_ = 0;
  started_ = local();
  last_run_ = {};
  deaths_.clear();
  world_.trace([&] { return plan_.name + "#" + std::to_string(number_) + " starts"; });
  start_engine();
}

void WorkerNode::come_back(Duration delay) {
  if (alive_ || coming_) return;
  coming_ = true;
  world_.timeline.after(delay, [this] { start(); });
}

void WorkerNode::start_engine() {
  ++incarnation_;
  worker::SessionOptions options;
  options.worker = id_;
  options.engine = ++engine_;
  options.run = last_run_;
  options.name = plan_.name;
  options.slots = plan_.slots;
  options.handlers = plan_.handlers;
  options.labels = plan_.labels;
  options.orphan_grace = plan_.orphan_grace;
  options.grace = plan_.grace;
  options.idle = plan_.idle;
  if (plan_.lifetime) options.leave_at = started_ + *plan_.lifetime;
  session_ = std::make_unique<worker::Session>(options);
  inbox_.clear();
  runs_.clear();
  handlers_ = commands_ = {};
  deferred_.clear();
  pending_hello_ = 0;
  lease_ = Time{};
  paused_ = loop_planned_ = false;
  stopped_handler_.clear();
  if (!deaths_.empty()) session_->step(worker::DeathsKnown{deaths_}, local(), actions_);
  deliver(worker::Started{});
}

void WorkerNode::end_engine() {
  close_link();
  ++incarnation_;
  session_.reset();
  runs_.clear();
  actions_.clear();
}

void WorkerNode::die(const std::string& cause) {
  Death death{engine_, cause, {}};
  for (const auto& [token, run] : runs_) {
    if (run.begun && !run.reported) death.ran.push_back(run.order.key);
  }
  world_.trace([&] { return plan_.name + " engine " + std::to_string(engine_) + " dies: " + cause; });
  world_.books.engine_died(death.ran);
  world_.books.allow_waste(2 * plan_.slots);
  deaths_.push_back(std::move(death));
  end_engine();
  if (stopping_) return gone(0);
  const std::uint64_t incarnation = incarnation_;
  world_.timeline.after(world_.random.spread(milliseconds(100), seconds(5)), [this, incarnation] {
    if (alive_ && incarnation == incarnation_) start_engine();
  });
}

void WorkerNode::kill_engine(const std::string& cause) {
  if (alive_ && session_) die(cause);
}

void WorkerNode::kill_worker() {
  if (!alive_) return;
  world_.trace([&] { return plan_.name + " is killed whole"; });
  end_engine();
  alive_ = false;
  come_back(world_.random.spread(milliseconds(10), seconds(15)));
}

// The supervisor ends with this code.
void WorkerNode::gone(int code) {
  alive_ = false;
  exit_code_ = code;
  exited_at_ = world_.timeline.now();
  if (!world_.over() && !world_.dispatcher.run_over())
    come_back(world_.random.spread(milliseconds(10), seconds(5)));
}

void WorkerNode::leave(int code) {
  world_.trace([&] { return plan_.name + " engine exits " + std::to_string(code); });
  end_engine();
  if (code == worker::kExitRestart) {
    start_engine();
  } else {
    gone(code);
  }
}

void WorkerNode::ask_to_stop() {
  if (!alive_ || !session_) return;
  stopping_ = true;
  world_.books.allow_waste(plan_.slots);  // what runs longer than the grace runs again elsewhere
  deliver(worker::StopAsked{});
}

// ---- loop ----

void WorkerNode::deliver(worker::Event&& event) {
  if (!session_) return;
  inbox_.push_back(std::move(event));
  wake_loop(microseconds(static_cast<std::int64_t>(world_.random.below(800))));
}

void WorkerNode::wake_loop(Duration delay) {
  if (loop_planned_ || paused_) return;
  loop_planned_ = true;
  later(delay, false, [this] {
    loop_planned_ = false;
    loop();
  });
}

void WorkerNode::tick() {
  Time due = local() + kTendInterval;
  if (const auto deadline = session_->next_deadline()) due = std::min(due, *deadline);
  const Time when = std::max(plan_.clock.global(due), world_.timeline.now() + microseconds(50));
  later(when - world_.timeline.now(), false, [this, number = ++tick_number_] {
    if (number == tick_number_ && !loop_planned_) loop();
  });
}

void WorkerNode::loop() {
  if (paused_ || !session_) return;
  std::vector<worker::Event> events;
  events.swap(inbox_);
  events.emplace_back(worker::Drained{});
  const Time now = local();
  for (worker::Event& event : events) {
    if (!std::holds_alternative<worker::Drained>(event))
      world_.trace([&] { return plan_.name + " <- " + describe(event); });
    if (const auto* lane = std::get_if<worker::LaneReceived>(&event))
      world_.books.lane_taken(id_, lane->header, lane->message);
    if (std::holds_alternative<worker::StopAsked>(event)) world_.books.worker_stopped(id_);
    session_->step(std::move(event), now, actions_);
  }
  if (const auto due = session_->next_deadline(); due && *due <= now)
    world_.books.broke(plan_.name + " would spin: its next deadline is not after now");
  worker::Actions actions = std::exchange(actions_, {});
  const std::uint64_t incarnation = incarnation_;
  for (worker::Action& action : actions) {
    if (!std::holds_alternative<worker::SetLease>(action))
      world_.trace([&] { return plan_.name + " -> " + describe(action); });
    carry_out(action);
    if (incarnation != incarnation_) return;
  }
  tick();
}

void WorkerNode::carry_out(worker::Action& action) {
  struct Visitor {
    WorkerNode& self;
    void operator()(worker::Register& a) {
      self.pending_hello_ = a.hello.try_number;
      self.world_.send_hello(self.number_, self.incarnation_, a.hello);
      self.later(seconds(5), true, [node = &self, try_number = a.hello.try_number] {
        node->answered(node->incarnation_, try_number, worker::RegistrationFailed{try_number, "no answer"});
      });
    }
    void operator()(worker::OpenSession& a) { self.open(a.welcome); }
    void operator()(worker::CloseSession&) { self.close_link(); }
    void operator()(worker::SendSink& a) { self.send(a.header, a.message); }
    void operator()(worker::SendResults& a) { self.send(a.header, *a.results); }
    void operator()(worker::StartAttempts& a) {
      for (worker::StartAttempt& start : a.attempts) self.take_run(start);
    }
    void operator()(worker::KillAttempt& a) { self.kill_run(a.token, a.now); }
    void operator()(worker::UnstartAttempt& a) { self.unstart(a.token); }
    void operator()(worker::SetLease& a) { self.lease_ = a.until; }
    void operator()(worker::ForgetDeaths& a) {
      std::erase_if(self.deaths_, [&a](const Death& death) { return death.engine <= a.up_to_engine; });
    }
    void operator()(worker::Say&) {}
    void operator()(worker::Exit& a) { self.leave(a.code); }
  };
  std::visit(Visitor{*this}, action);
}

void WorkerNode::answered(std::uint64_t incarnation, std::uint32_t try_number, worker::Event&& event) {
  if (!session_ || incarnation != incarnation_ || pending_hello_ != try_number) return;
  pending_hello_ = 0;
  deliver(std::move(event));
}

void WorkerNode::pause(Duration how_long) {
  if (!alive_ || !session_) return;
  world_.trace([&] { return plan_.name + " pauses for " + std::to_string(how_long.count()); });
  paused_ = true;
  later(how_long, false, [this, number = ++pause_number_] {
    if (number != pause_number_) return;
    world_.trace([&] { return plan_.name + " goes on"; });
    paused_ = false;
    const bool threads_first = world_.random.one_in(2);
    if (!threads_first) loop();
    if (!session_) return;
    for (const auto& what : std::exchange(deferred_, {})) what();
    wake_loop(Duration{0});
  });
}

// ---- connections ----

void WorkerNode::open(const Welcome& welcome) {
  last_run_ = welcome.run;
  link_ = std::make_shared<Link>(world_.timeline);
  link_->session = welcome.session;
  link_->worker = number_;
  link_->up->stall(stalled_up_);
  link_->down->stall(stalled_down_);
  world_.books.worker_opened(id_, welcome.session, welcome.run, welcome.worker_timeout);
  const Time limit = world_.timeline.now() + kConnectLimit;
  const std::uint64_t life = world_.dispatcher.life();
  Duration lane_delay = 2 * delay();
  if (std::exchange(lane_late_, false)) lane_delay += world_.random.spread(milliseconds(50), seconds(8));
  later(lane_delay, false, [this, link = link_] { connect_lane(link); });
  later(2 * delay(), false, [this, link = link_, life] { connect_sink(link, life); });
  later(limit - world_.timeline.now(), true, [this, link = link_] {
    if (link->open && !link->sink_up) deliver(worker::SinkGone{link->session});
  });
}

void WorkerNode::connect_lane(std::shared_ptr<Link> link) {
  if (!link->open || link->lane_broken) return;
  if (stalled_up_ || stalled_down_) {
    return later(milliseconds(200), false, [this, link] { connect_lane(link); });
  }
  link->lane_up = world_.dispatcher.attach_lane(link, world_.setup.lanes_reused);
}

void WorkerNode::connect_sink(std::shared_ptr<Link> link, std::uint64_t life) {
  if (!link->open || link->sink_broken) return;
  if (stalled_up_ || stalled_down_) {
    return later(milliseconds(200), false, [this, link, life] { connect_sink(link, life); });
  }
  // Another dispatcher has another port for its sink, most of the time.
  if (!world_.dispatcher.up() || (life != world_.dispatcher.life() && !world_.random.one_in(3))) return;
  link->sink_up = true;
  for (const auto& [header, message] : std::exchange(link->waiting, {})) put_on_wire(link, header, message);
}

void WorkerNode::send(const Header& header, const SinkMessage& message) {
  if (!link_ || header.session != link_->session) return;
  world_.books.sink_sent(id_, header, local());
  if (link_->sink_broken) return;
  if (!link_->sink_up) {
    link_->waiting.emplace_back(header, message);
  } else {
    put_on_wire(link_, header, message);
  }
}

void WorkerNode::put_on_wire(const std::shared_ptr<Link>& link, const Header& header,
                             const SinkMessage& message) {
  std::size_t bytes = 100;
  if (const auto* results = std::get_if<Results>(&message)) {
    for (const JobResult& result : results->results) bytes += result.outcome.size_bytes();
  }
  const std::size_t parts = 1 + bytes / kPartBytes;
  const std::uint64_t life = world_.dispatcher.life();
  for (std::size_t part = 1; part < parts; ++part) {
    link->up->push(delay(), plan_.a_part, [this, life, session = header.session, key = key_] {
      if (world_.dispatcher.life() == life) world_.dispatcher.deliver(dispatcher::PartReceived{session, key});
    });
  }
  link->up->push(delay(), parts > 1 ? plan_.a_part : microseconds(5),
                 [this, life, header, message, key = key_] {
                   if (world_.dispatcher.life() == life)
                     world_.dispatcher.deliver(dispatcher::SinkReceived{header, message, key});
                 });
}

void WorkerNode::close_link() {
  if (!link_) return;
  world_.books.worker_closed(id_);
  const std::shared_ptr<Link> link = std::exchange(link_, nullptr);
  link->open = false;
  link->up->cut(world_.random.below(link->up->size() + 1));
  link->down->cut(0);
  if (stalled_up_) old_links_.push_back(link);
  tell_lane_lost(link);
}

// The other end learns it with the next segment that gets through.
void WorkerNode::tell_lane_lost(std::shared_ptr<Link> link) {
  link->lane_broken = true;
  world_.timeline.after(stalled_up_ ? milliseconds(100) : delay(), [this, link] {
    if (stalled_up_) return tell_lane_lost(link);
    world_.dispatcher.lane_lost(link->session, link);
  });
}

void WorkerNode::tell_sink_gone(const std::shared_ptr<Link>& link) {
  link->sink_broken = true;
  if (!link->sink_up) return;
  later(world_.random.between(milliseconds(1), milliseconds(250)), true, [this, link] {
    if (link->open) deliver(worker::SinkGone{link->session});
  });
}

void WorkerNode::cut(bool lane, bool sink) {
  if (!link_ || !link_->open) return;
  world_.trace([&] { return plan_.name + (lane ? " lane" : "") + (sink ? " sink" : "") + " cut"; });
  if (lane && link_->lane_up) {
    link_->down->cut(world_.random.below(link_->down->size() + 1));
    tell_lane_lost(link_);
  }
  if (sink && link_->sink_up) {
    link_->up->cut(world_.random.below(link_->up->size() + 1));
    tell_sink_gone(link_);
  }
}

void WorkerNode::dispatcher_gone() {
  if (!link_ || !link_->open) return;
  link_->up->cut(0);
  link_->lane_broken = true;
  tell_sink_gone(link_);
}

void WorkerNode::stall(bool up, bool down, Duration how_long) {
  world_.trace([&] {
    return plan_.name + " stalls" + (up ? " up" : "") + (down ? " down" : "") + " for " +
           std::to_string(how_long.count());
  });
  stalled_up_ = stalled_up_ || up;
  stalled_down_ = stalled_down_ || down;
  if (link_) {
    link_->up->stall(stalled_up_);
    link_->down->stall(stalled_down_);
  }
  world_.timeline.after(how_long, [this, number = ++stall_number_] {
    if (number != stall_number_) return;
    stalled_up_ = stalled_down_ = false;
    old_links_.push_back(link_);
    for (const auto& link : std::exchange(old_links_, {})) {
      if (!link) continue;
      link->up->stall(false);
      link->down->stall(false);
    }
  });
}

}  // namespace workpool::simulation
