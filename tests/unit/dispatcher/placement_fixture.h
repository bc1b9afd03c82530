// SPDX-License-Identifier: MIT
// A scheduler with a few workers, for tests of placement.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "dispatcher/core/scheduler.h"

namespace workpool::dispatcher {

// A stream of jobs and a few workers, as the scheduler sees them.
class PlacementTest : public testing::Test {
 protected:
  using Given = std::vector<std::string>;  // "job worker": worker by worker, each in the order of its jobs

  PlacementTest() {
    options.streaming = true;
    options.worker_timeout = seconds(10'000);
    index.seal();
    index.open_queues(false);
    scheduler.emplace(options, index, now);
  }

  void worker(const std::string& name, std::uint32_t slots, const std::vector<std::string>& labels = {}) {
    const SessionId id{++sessions};
    HelloReceived hello;
    hello.hello.worker = {id.value};
    hello.hello.engine = hello.hello.try_number = 1;
    hello.hello.name = name;
    hello.hello.slots = slots;
    hello.hello.handlers = {"echo"};
    hello.hello.labels = labels;
    hello.fresh = id;
    names[id.value] = name;
    step(std::move(hello));
    step(LaneBound{id});
    from(name, Ready{});
    step(JournalState{entries, false, false, 0});  // its name
    step(LaneWritable{id});
  }
  void job(const std::string& id, const Requirement& requirement = {}, std::int32_t priority = 0) {
    JobArrived read;
    read.job.facts.line = read.job.facts.number = ++jobs;
    read.job.facts.id = id;
    read.job.facts.key = key_of_id(id);
    read.job.facts.priority = priority;
    read.job.facts.slots = requirement.slots;
    read.job.work = work;
    read.requirement = requirement;
    step(std::move(read));
  }
  // The job that the worker was given last under this id is ok.
  void done(const std::string& id) {
    JobResult result;
    const auto& [order, worker] = orders.at(id);
    result.handle = order.handle;
    result.key = order.key;
    result.spec = order.spec;
    result.attempt = order.attempt;
    result.ran = ran;
    Results results;
    results.results.push_back(std::move(result));
    from(worker, std::move(results));
  }
  Given drain() {
    given.clear();
    step(Drained{});
    return given;
  }
  // The stamp of the LANE BEAT in the last actions; 0 if there is none.
  std::uint64_t last_stamp() const {
    std::uint64_t stamp = 0;
    for (const Action& action : actions) {
      const auto* down = std::get_if<SendLane>(&action);
      const auto* beat = down == nullptr ? nullptr : std::get_if<LaneBeat>(&down->message);
      if (beat != nullptr) stamp = beat->stamp;
    }
    return stamp;
  }
  void from(const std::string& name, SinkMessage&& message) {
    for (const auto& [id, known] : names) {
      if (known == name) step(SinkReceived{{options.run, SessionId{id}, ++seqs[id]}, std::move(message)});
    }
  }
  void step(Event&& event) {
    actions.clear();
    scheduler->step(std::move(event), now, actions);
    for (Action& action : actions) {
      if (const auto* persist = std::get_if<Persist>(&action)) entries += persist->entries.size();
      auto* down = std::get_if<SendLane>(&action);
      auto* message = down == nullptr ? nullptr : std::get_if<Jobs>(&down->message);
      if (message == nullptr) continue;
      const std::string worker = names.at(down->session.value);
      for (JobOrder& order : message->jobs) {
        given.push_back(order.id + " " + worker);
        const std::string id = order.id;
        orders[id] = {std::move(order), worker};
      }
    }
  }
  Placement::Looked looked() const { return scheduler->placement().looked(); }

  SchedulerOptions options;
  JobIndex index;
  Time now{seconds(1)};
  Duration ran = seconds(1);  // too long to go ahead of need, and as long as can be said at once
  std::optional<Scheduler> scheduler;
  Actions actions;
  Given given;
  std::string work = "{}";
  std::uint64_t sessions = 0;
  std::uint64_t jobs = 0;
  std::uint64_t entries = 0;  // of the journal
  std::map<std::uint64_t, std::string> names;
  std::map<std::uint64_t, std::uint64_t> seqs;
  std::map<std::string, std::pair<JobOrder, std::string>> orders;
};

}  // namespace workpool::dispatcher
