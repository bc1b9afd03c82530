// SPDX-License-Identifier: MIT
// The stage's workers: their links, their runner, and what they say.
#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "tests/scenario/stage.h"

namespace workpool::scenario {
namespace {

worker::AttemptsEnded not_started(std::uint64_t token) {
  return {{worker::AttemptEnded{token, worker::AttemptEnd::kNotStarted, {}, {}, false}}};
}

}  // namespace

void Stage::add_worker(const std::string& name, const worker::SessionOptions& worker_options,
                       const std::string& late) {
  CHECK(!machines_.contains(name));
  Machine& worker = machines_[name];
  order_.push_back(name);
  worker.options = worker_options;
  worker.options.worker = WorkerId{order_.size()};
  worker.options.engine = 0;
  worker.lane_late = late == "lane";
  worker.sink_late = late == "sink";
  start_engine(name);
}

void Stage::connect_late(const std::string& name) {
  machine(name).lane_late = machine(name).sink_late = false;
}

void Stage::start_engine(const std::string& name) {
  Machine& worker = machine(name);
  ++worker.options.engine;
  worker.session = std::make_unique<worker::Session>(worker.options);
  worker.inbox.clear();
  worker.lease = Time{};
  worker.open = {};
  if (!worker.deaths.empty()) worker.inbox.emplace_back(worker::DeathsKnown{worker.deaths});
  worker.inbox.emplace_back(worker::Started{});
}

void Stage::die(const std::string& name) {
  Machine& worker = machine(name);
  Death death{worker.options.engine, "signal 9 (SIGKILL)", {}};
  for (const auto& [token, run] : worker.runs) {
    if (run.begun) death.ran.push_back(run.order.key);
  }
  worker.deaths.push_back(std::move(death));
  vanish(name);
}

void Stage::vanish(const std::string& name) {
  Machine& worker = machine(name);
  worker.session.reset();
  worker.runs.clear();
  if (worker.open.value != 0) inbox_.emplace_back(dispatcher::LaneGone{worker.open});
  worker.links.clear();
  worker.open = {};
}

void Stage::stop_worker(const std::string& name) { machine(name).inbox.emplace_back(worker::StopAsked{}); }

void Stage::pause(const std::string& name, bool paused) {
  (name == "dispatcher" ? paused_ : machine(name).paused) = paused;
}

void Stage::hold(const std::string& name, const std::string& link, bool held) {
  if (name == "dispatcher") {
    if (link == "disk") hold_disk(held);
    if (link == "loads") hold_loads(held);
    return;
  }
  if (link != "sink") machine(name).lane_held = held;
  if (link != "lane") machine(name).sink_held = held;
}

void Stage::lose(const std::string& name, const std::string& link) {
  for (auto& [id, open] : machine(name).links) {
    if (link != "sink") open.lane.clear();
    if (link != "lane") open.sink.clear();
  }
}

void Stage::part(const std::string& name, const std::string& link) {
  Machine& worker = machine(name);
  if (link == "lane") {
    worker.inbox.emplace_back(worker::LanePart{worker.open});
  } else {
    inbox_.emplace_back(dispatcher::PartReceived{worker.open});
  }
}

void Stage::cut(const std::string& name, const std::string& link) {
  Machine& worker = machine(name);
  const auto found = worker.links.find(worker.open);
  if (found == worker.links.end()) return;
  Link& open = found->second;
  if (link != "sink") {
    open.lane.clear();
    open.lane_cut = true;
    if (open.lane_up) inbox_.emplace_back(dispatcher::LaneGone{worker.open});
  }
  if (link != "lane") {
    open.sink.clear();
    open.sink_cut = true;
    worker.inbox.emplace_back(worker::SinkGone{worker.open});
  }
}

bool Stage::end_run(const std::string& name, const std::string& job, worker::AttemptEnd how,
                    const Outcome& outcome, bool slot_lost) {
  Machine& worker = machine(name);
  const auto found = std::find_if(worker.runs.begin(), worker.runs.end(), [&](const auto& run) {
    return run.second.begun && job_name(run.second.order.key) == job;
  });
  if (found == worker.runs.end()) return false;
  worker::AttemptEnded ended{found->first, how, outcome, milliseconds(10), slot_lost};
  if (!slot_lost) worker.runs.erase(found);
  worker.inbox.emplace_back(worker::AttemptsEnded{{std::move(ended)}});
  return true;
}

// ---- what moves ----

bool Stage::deliver(const std::string& name, Machine& worker) {
  bool moved = false;
  if (worker.hello && !paused_) {
    const Hello hello = *worker.hello;
    if (scheduler_ == nullptr || finished_) {
      worker.inbox.emplace_back(worker::RegistrationFailed{hello.try_number, "connection refused"});
      worker.hello.reset();
      moved = true;
    } else if (!worker.sink_held) {
      say(name + " -> dispatcher: HELLO engine " + std::to_string(hello.engine) + " try " +
          std::to_string(hello.try_number));
      inbox_.emplace_back(dispatcher::HelloReceived{name, hello, SessionId{++next_session_}});
      worker.hello.reset();
      worker.hello_try = hello.try_number;
      moved = true;
    }
  }
  for (auto& [id, link] : worker.links) {
    if (worker.open == id && !link.lane_up && !link.lane_cut && !worker.lane_late) {
      link.lane_up = true;
      inbox_.emplace_back(dispatcher::LaneWritable{id});
      moved = true;
    }
    while (!link.sink.empty() && !worker.sink_held && !worker.sink_late && scheduler_ != nullptr) {
      inbox_.emplace_back(
          dispatcher::SinkReceived{link.sink.front().first, std::move(link.sink.front().second)});
      link.sink.pop_front();
      moved = true;
    }
    while (!link.lane.empty() && link.lane_up && worker.open == id && !worker.lane_held) {
      worker.inbox.emplace_back(
          worker::LaneReceived{link.lane.front().first, std::move(link.lane.front().second)});
      link.lane.pop_front();
      moved = true;
    }
  }
  return moved;
}

bool Stage::begin_runs(const std::string& name, Machine& worker) {
  if (worker.paused) return false;
  bool moved = false;
  for (auto& [token, run] : worker.runs) {
    if (run.begun) continue;
    moved = true;
    run.begun = true;
    if (now_ < worker.lease) {
      ++begun_[job_name(run.order.key)];
      say(name + " runs " + job_name(run.order.key) + ", attempt " + std::to_string(run.order.attempt));
      continue;
    }
    say(name + " does not run " + job_name(run.order.key) + ": its lease is over");
    worker.inbox.emplace_back(not_started(token));
  }
  std::erase_if(worker.runs, [&](const auto& run) {
    return std::any_of(worker.inbox.begin(), worker.inbox.end(), [&](const worker::Event& event) {
      const auto* ended = std::get_if<worker::AttemptsEnded>(&event);
      return ended != nullptr && ended->attempts[0].token == run.first && !ended->attempts[0].slot_lost;
    });
  });
  return moved;
}

bool Stage::step_worker(const std::string& name, Machine& worker, bool idle) {
  if (!worker.session || worker.paused || (worker.inbox.empty() && !idle)) return false;
  worker::Actions actions;
  for (worker::Event& event : std::exchange(worker.inbox, {}))
    worker.session->step(std::move(event), now_, actions);
  worker.session->step(worker::Drained{}, now_, actions);
  for (worker::Action& action : actions) carry_out(name, worker, action);
  return true;
}

void Stage::carry_out(const std::string& name, Machine& worker, worker::Action& action) {
  struct Visitor {
    Stage& self;
    const std::string& name;
    Machine& worker;
    void operator()(worker::Register& a) { worker.hello = a.hello; }
    void operator()(worker::OpenSession& a) {
      worker.open = a.welcome.session;
      worker.options.run = a.welcome.run;
    }
    void operator()(worker::CloseSession&) {
      self.say(name + " ends " + self.session_name(worker.open));
      if (const auto found = worker.links.find(worker.open); found != worker.links.end()) {
        if (found->second.lane_up && !found->second.lane_cut)
          self.inbox_.emplace_back(dispatcher::LaneGone{worker.open});
        found->second.lane_cut = true;
        found->second.lane.clear();
      }
      worker.open = {};
    }
    void operator()(worker::SendSink& a) {
      const auto* beat = std::get_if<Beat>(&a.message);
      if (beat == nullptr || !beat->ended.empty())
        self.say(name + " -> dispatcher: " + self.described(a.message));
      const auto found = worker.links.find(worker.open);
      if (found != worker.links.end() && !found->second.sink_cut)
        found->second.sink.emplace_back(a.header, std::move(a.message));
    }
    void operator()(worker::SendResults& a) {
      worker::SendSink copy{a.header, *a.results};
      (*this)(copy);
    }
    void operator()(worker::StartAttempts& a) {
      for (auto& [token, order] : a.attempts) worker.runs[token].order = std::move(order);
    }
    void operator()(worker::KillAttempt& a) {
      const auto found = worker.runs.find(a.token);
      if (found == worker.runs.end()) return;
      self.say(name + " kills " + self.job_name(found->second.order.key));
      worker::AttemptsEnded ended = not_started(a.token);
      if (found->second.begun) ended.attempts[0].how = worker::AttemptEnd::kStopped;
      worker.inbox.emplace_back(std::move(ended));
      worker.runs.erase(found);
    }
    void operator()(worker::UnstartAttempt& a) {
      const auto found = worker.runs.find(a.token);
      if (found == worker.runs.end() || found->second.begun) return;
      worker.inbox.emplace_back(not_started(a.token));
      worker.runs.erase(found);
    }
    void operator()(worker::SetLease& a) { worker.lease = a.until; }
    void operator()(worker::ForgetDeaths& a) {
      std::erase_if(worker.deaths, [&a](const Death& death) { return death.engine <= a.up_to_engine; });
      self.say(name + " forgets its deaths");
    }
    void operator()(worker::Say&) {}
    void operator()(worker::Exit& a) {
      self.say(name + " exits with " + std::to_string(a.code));
      self.vanish(name);
      worker.exited = a.code;
    }
  };
  if (worker.exited) return;
  std::visit(Visitor{*this, name, worker}, action);
}

// ---- words ----

std::string Stage::described(const SinkMessage& message) const {
  struct Visitor {
    const Stage& self;
    std::string operator()(const Died& m) const {
      std::string text = "DIED";
      for (const Death& death : m.deaths) {
        text += " engine " + std::to_string(death.engine) + ",";
        for (const Key& key : death.ran) text += " " + self.job_name(key);
      }
      return text;
    }
    std::string operator()(const Held& m) const {
      std::string text = "HELD";
      for (const HeldJob& job : m.jobs)
        text += " " + self.job_name(job.key) + "." + std::to_string(job.attempt);
      return m.jobs.empty() ? "HELD nothing" : text;
    }
    std::string operator()(const Results& m) const {
      std::string text = "RESULTS";
      for (const JobResult& result : m.results) {
        text += " " + self.job_name(result.key) + "." + std::to_string(result.attempt) + " " +
                name_of(result.outcome.status);
      }
      return text;
    }
    std::string operator()(const Returned& m) const {
      static const char* const kWhy[] = {"unstarted", "stopped", "no resources"};
      std::string text = "RETURNED";
      for (const ReturnedJob& job : m.jobs) {
        text += " " + self.job_name(job.key) + "." + std::to_string(job.attempt) + " " +
                kWhy[static_cast<int>(job.reason)];
      }
      return text;
    }
    std::string operator()(const Ready& m) const { return m.accepting ? "READY" : "READY, not accepting"; }
    std::string operator()(const Beat& m) const {
      std::string text = "BEAT";
      const auto named = [&](Handle handle) {
        const dispatcher::JobBook& book = self.scheduler_->ledger().jobs();
        const auto row = book.find(handle);
        return row ? self.job_name(book.at(*row).facts.key) : "?";
      };
      for (const Handle handle : m.ended) text += " ended " + named(handle);
      return text;
    }
    std::string operator()(const Goodbye&) const { return "GOODBYE"; }
  };
  return std::visit(Visitor{*this}, message);
}

std::string Stage::described(const LaneMessage& message) const {
  struct Visitor {
    const Stage& self;
    std::string refs(const std::vector<JobRef>& jobs) const {
      std::string text;
      for (const JobRef& ref : jobs) {
        text += " " + self.job_name(ref.key) + "." + std::to_string(ref.attempt) +
                (ref.handle.value == 0 ? " (held)" : "");
      }
      return text;
    }
    std::string operator()(const Jobs& m) const {
      std::string text = "JOBS";
      for (const JobOrder& order : m.jobs)
        text += " " + self.job_name(order.key) + "." + std::to_string(order.attempt);
      return text;
    }
    std::string operator()(const Cancel& m) const { return "CANCEL" + refs(m.jobs); }
    std::string operator()(const Recall& m) const { return "RECALL" + refs(m.jobs); }
    std::string operator()(const LaneBeat& m) const { return "BEAT, ack " + std::to_string(m.ack); }
    std::string operator()(const Stop&) const { return "STOP"; }
    std::string operator()(const End&) const { return "END"; }
  };
  return std::visit(Visitor{*this}, message);
}

}  // namespace workpool::scenario
