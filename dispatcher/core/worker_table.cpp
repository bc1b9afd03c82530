// SPDX-License-Identifier: MIT
#include "dispatcher/core/worker_table.h"

#include <algorithm>

#include "common/base/check.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kClosedMost = 4096;

bool has(const std::vector<std::string>& list, const std::string& name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

}  // namespace

Session* WorkerTable::find(SessionId id) {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

const Session* WorkerTable::find(SessionId id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : found->second;
}

Worker* WorkerTable::find(WorkerId id) {
  const auto found = workers_.find(id);
  return found == workers_.end() ? nullptr : &found->second;
}

Worker& WorkerTable::worker_of(const Session& session) {
  Worker* worker = find(session.worker);
  CHECK(worker != nullptr);
  return *worker;
}

void WorkerTable::know(const GrantedName& granted) {
  if (names_.insert(granted.name).second) granted_[granted.worker] = granted.name;
}

std::string WorkerTable::free_name(const std::string& wanted) {
  if (!names_.contains(wanted)) return wanted;
  int& number = next_number_.try_emplace(wanted, 2).first->second;
  std::string name;
  do name = wanted + '-' + std::to_string(number++);
  while (names_.contains(name));
  return name;
}

std::pair<Worker&, bool> WorkerTable::enrol(const Hello& hello) {
  if (Worker* known = find(hello.worker)) {
    known->hello = hello;
    return {*known, false};
  }
  const bool has_new_name = !granted_.contains(hello.worker);
  if (has_new_name) know({hello.worker, free_name(hello.name)});
  Worker& worker = workers_[hello.worker];
  worker.id = hello.worker;
  worker.hello = hello;
  worker.name = granted_.at(hello.worker);
  worker.from_before = !has_new_name;
  return {worker, has_new_name};
}

Session& WorkerTable::open(Worker& worker, SessionId id, Time now) {
  CHECK(!by_id_.contains(id));
  Session& session = sessions_.try_emplace(id, id, worker.id).first->second;
  by_id_[id] = &session;
  session.phase = Binding{};
  session.name = worker.name;
  session.slots = worker.hello.slots;
  session.last_answer = session.last_heard = session.last_told = now;
  worker.session = id;
  touch(session);
  return session;
}

void WorkerTable::close(SessionId id) {
  Session* session = find(id);
  CHECK(session != nullptr && session->held.jobs() == 0);
  touch(*session);
  Worker& worker = worker_of(*session);
  if (worker.session == id) worker.session.reset();
  if (session->was_ready) worker.from_before = false;
  closed_[id] = worker.name;
  closed_order_.push_back(id);
  if (closed_order_.size() > kClosedMost) {
    closed_.erase(closed_order_.front());
    closed_order_.pop_front();
  }
  by_id_.erase(id);
  sessions_.erase(id);
}

std::string WorkerTable::name_of(SessionId id) const {
  if (const Session* session = find(id)) return session->name;
  const auto closed = closed_.find(id);
  return closed == closed_.end() ? std::string() : closed->second;
}

bool WorkerTable::serves(const Session& session, const Requirement& requirement) const {
  return requirement.type.empty() || has(workers_.at(session.worker).hello.handlers, requirement.type);
}

bool WorkerTable::meets(const Session& session, const Requirement& requirement) const {
  const Hello& hello = workers_.at(session.worker).hello;
  const bool labelled = std::all_of(requirement.labels.begin(), requirement.labels.end(),
                                    [&](const std::string& label) { return has(hello.labels, label); });
  return labelled && serves(session, requirement) && requirement.slots <= session.slots;
}

bool WorkerTable::offers_the_same(const Session& one, const Session& other) const {
  const Hello& hello = workers_.at(one.worker).hello;
  const Hello& other_hello = workers_.at(other.worker).hello;
  return one.slots == other.slots && hello.handlers == other_hello.handlers &&
         hello.labels == other_hello.labels;
}

void WorkerTable::touch(Session& session) {
  if (!std::exchange(session.touched, true)) touched_.push_back(session.id);
}

std::vector<SessionId> WorkerTable::take_touched() {
  for (const SessionId id : touched_) {
    if (Session* session = find(id)) session->touched = false;
  }
  return std::exchange(touched_, {});
}

}  // namespace workpool::dispatcher
