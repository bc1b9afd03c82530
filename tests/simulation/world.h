// SPDX-License-Identifier: MIT
// One simulated run: a dispatcher, its disk and several workers on a network, all in virtual time, and the
// hand that breaks them. The same seed gives the same run to the last event.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tests/simulation/books.h"
#include "tests/simulation/dispatcher_node.h"
#include "tests/simulation/limit_book.h"
#include "tests/simulation/random.h"
#include "tests/simulation/setup.h"
#include "tests/simulation/timeline.h"
#include "tests/simulation/worker_node.h"

namespace workpool::simulation {

struct Verdict {
  std::uint64_t seed = 0;
  std::string broken;  // empty if every invariant held
  std::uint64_t steps = 0;
  std::uint64_t executions = 0;
  Time ended;
  std::vector<std::string> trace;  // the last events, if they were asked for
};

class World {
 public:
  explicit World(std::uint64_t seed, std::size_t trace_lines = 0);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  Verdict run();

  Timeline timeline;
  Random random;
  const Setup setup;
  Books books;
  LimitBook limits{setup};
  DispatcherNode dispatcher;
  std::deque<WorkerNode> workers;

  bool healed() const { return timeline.now() >= Time{setup.healed}; }
  bool may(Fault fault) const { return setup.has(fault) && !healed(); }
  // The run is over and nobody starts anything any more.
  bool over() const { return over_; }
  std::uint64_t all_slots() const;
  // A worker begins this job now.
  void check_limits(const Key& key);

  dispatcher::KeyId new_key() { return {++last_key_}; }
  bool is_revoked(dispatcher::KeyId key) const { return revoked_.contains(key); }

  // A HELLO on its way, and the answer to it.
  void send_hello(std::size_t worker, std::uint64_t incarnation, const Hello& hello);
  void answer(const std::string& peer, const RegistrationReply& reply);
  void finished(int exit_code);

  void trace(const std::function<std::string()>& text);

 private:
  void plan_fault();
  void strike();
  void strike_worker(Fault fault, WorkerNode& worker);
  void strike_dispatcher(Fault fault);
  void forge();
  void impostor();
  void revoke(WorkerNode& worker);
  void check_end();

  std::uint32_t last_key_ = 0;
  std::set<dispatcher::KeyId> revoked_;  // nobody comes in with them
  std::size_t trace_lines_;
  std::deque<std::string> trace_;
  bool over_ = false;
  int exit_code_ = 0;
  Time finished_at_;
};

}  // namespace workpool::simulation
