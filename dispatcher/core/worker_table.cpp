// SPDX-License-Identifier: MIT
#include "dispatcher/core/worker_table.h"

#include <algorithm>

#include "common/base/check.h"
#include "dispatcher/core/local_name.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kClosedMost = 4096;
// So many workers that said HELLO and never READY are remembered, the last ones, so that nothing is reported
// twice about one.
constexpr std::size_t kUnnamedMost = 1024;

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

// Each start of the run has a local worker of its own, on the same machine. The one before has ended with its
// dispatcher, so the name is free again.
void WorkerTable::know(const GrantedName& granted) {
  if (granted.name == kLocalName) {
    granted_[granted.worker] = granted;
    return;
  }
  if (names_.insert(granted.name).second) granted_[granted.worker] = granted;
}

bool WorkerTable::all_back() const {
  return std::all_of(granted_.begin(), granted_.end(), [this](const auto& entry) {
    const auto worker = workers_.find(entry.first);
    return entry.second.name == kLocalName || (worker != workers_.end() && worker->second.seen_ready);
  });
}

std::string WorkerTable::free_name(const std::string& wanted) {
  if (!names_.contains(wanted)) return wanted;
  int& number = next_number_.try_emplace(wanted, 2).first->second;
  std::string name;
  do name = wanted + '-' + std::to_string(number++);
  while (names_.contains(name));
  return name;
}

void WorkerTable::count_key(KeyId key, int change) {
  std::size_t& workers = of_key_[key];
  workers = static_cast<std::size_t>(static_cast<std::ptrdiff_t>(workers) + change);
  if (workers == 0) of_key_.erase(key);
}

std::size_t WorkerTable::workers_of(KeyId key) const {
  const auto found = of_key_.find(key);
  return found == of_key_.end() ? 0 : found->second;
}

Worker& WorkerTable::enrol(const Hello& hello, KeyId key, const std::string& fingerprint) {
  if (Worker* known = find(hello.worker)) {
    const auto is_left_out = [&](const std::string& type) { return !has(hello.handlers, type); };
    const std::vector<std::string>& before = known->hello.handlers;
    known->serves_less = known->serves_less || std::any_of(before.begin(), before.end(), is_left_out);
    known->hello = hello;
    count_key(known->key, -1);
    known->key = key;
    count_key(key, 1);
    return *known;
  }
  Worker& worker = workers_[hello.worker];
  worker.id = hello.worker;
  worker.key = key;
  worker.fingerprint = fingerprint;
  count_key(key, 1);
  worker.hello = hello;
  const auto granted = granted_.find(hello.worker);
  worker.named = worker.from_before = worker.known_before = granted != granted_.end();
  worker.name = worker.named ? granted->second.name : free_name(hello.name);
  if (!worker.named) names_.insert(worker.name);
  return worker;
}

// A worker without a name has never had a job, so nothing else knows of it.
void WorkerTable::forget(WorkerId id) {
  const Worker* worker = find(id);
  if (worker == nullptr || worker->named || worker->session) return;
  names_.erase(worker->name);
  next_number_.erase(worker->name);
  count_key(worker->key, -1);
  workers_.erase(id);
}

Session& WorkerTable::open(Worker& worker, SessionId id, Time now) {
  CHECK(!by_id_.contains(id));
  Session& session =
      sessions_.try_emplace(id, id, worker.id, worker.key, worker.name, worker.hello.slots).first->second;
  by_id_[id] = &session;
  session.phase = Binding{};
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
  worker.done += session->done;
  if (session->was_ready) worker.from_before = false;
  if (!worker.named && !worker.session) unnamed_.push_back(worker.id);
  if (unnamed_.size() > kUnnamedMost) {
    if (unnamed_.front() != worker.id) forget(unnamed_.front());
    unnamed_.pop_front();
  }
  closed_[id] = session->worker;
  closed_order_.push_back(id);
  if (closed_order_.size() > kClosedMost) {
    closed_.erase(closed_order_.front());
    closed_order_.pop_front();
  }
  by_id_.erase(id);
  sessions_.erase(id);
}

Worker* WorkerTable::worker_with(SessionId id) {
  if (const Session* session = find(id)) return find(session->worker);
  const auto closed = closed_.find(id);
  return closed == closed_.end() ? nullptr : find(closed->second);
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

// ---- the bench ----

void WorkerTable::bench(Session& session, const Benched& benched) {
  Worker& worker = worker_of(session);
  CHECK(!worker.benched);
  worker.benched = benched;
  ++benched_;
  touch(session);
}

void WorkerTable::unbench(Session& session) {
  Worker& worker = worker_of(session);
  CHECK(worker.benched);
  worker.benched.reset();
  --benched_;
  touch(session);
}

const Benched* WorkerTable::benched(const Session& session) const {
  if (benched_ == 0) return nullptr;
  const auto& benched = workers_.at(session.worker).benched;
  return benched ? &*benched : nullptr;
}

void WorkerTable::probe(Session& session, Handle job, Time next) {
  Benched& benched = *worker_of(session).benched;
  benched.probe = job;
  benched.probe_at = next;
}

void WorkerTable::note_ok(Session& session, Handle job) {
  if (benched_ == 0 || job.value == 0) return;
  auto& benched = worker_of(session).benched;
  if (benched && benched->probe == job) benched->probe_was_ok = true;
}

bool WorkerTable::any_other(const Requirement& requirement, std::span<const WorkerId> but) const {
  return std::any_of(sessions_.begin(), sessions_.end(), [&](const auto& entry) {
    const Session& session = entry.second;
    return is_present(session) && std::find(but.begin(), but.end(), session.worker) == but.end() &&
           meets(session, requirement);
  });
}

// ----

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
