// SPDX-License-Identifier: MIT
#include "dispatcher/core/worker_table.h"

#include <algorithm>

#include "common/check.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kClosedMost = 4096;

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

std::pair<Worker&, bool> WorkerTable::enrol(const Hello& hello) {
  if (Worker* known = find(hello.worker)) {
    known->hello = hello;
    return {*known, false};
  }
  std::string name = hello.name;
  const auto is_another_ones = [&] {
    const auto found = names_.find(name);
    return found != names_.end() && found->second != hello.worker;
  };
  for (int n = 2; is_another_ones(); ++n) name = hello.name + '-' + std::to_string(n);
  const bool is_new = names_.try_emplace(name, hello.worker).second;
  Worker& worker = workers_[hello.worker];
  worker.id = hello.worker;
  worker.hello = hello;
  worker.name = name;
  return {worker, is_new};
}

Session& WorkerTable::open(Worker& worker, SessionId id, Time now) {
  CHECK(!by_id_.contains(id));
  Session& session = sessions_[id];
  by_id_[id] = &session;
  session.id = id;
  session.worker = worker.id;
  session.phase = Binding{};
  session.name = worker.name;
  session.slots = worker.hello.slots;
  session.opened = session.last_heard = session.last_told = now;
  worker.session = id;
  return session;
}

void WorkerTable::close(SessionId id) {
  Session* session = find(id);
  CHECK(session != nullptr && session->held_jobs == 0);
  Worker& worker = worker_of(*session);
  if (worker.session == id) worker.session.reset();
  if (closed_order_.size() < kClosedMost) {
    closed_order_.push_back(id);
    closed_[id] = worker.id;
  } else {
    closed_.clear();
    closed_order_.clear();
  }
  by_id_.erase(id);
  sessions_.erase(id);
}

std::string WorkerTable::name_of(SessionId id) const {
  if (const Session* session = find(id)) return session->name;
  const auto closed = closed_.find(id);
  if (closed == closed_.end()) return {};
  return workers_.at(closed->second).name;
}

bool WorkerTable::fits(Session& session, std::uint32_t number, const Requirement& requirement) {
  if (session.fits.size() <= number) session.fits.resize(number + 1, -1);
  std::int8_t& known = session.fits[number];
  if (known < 0) {
    const Hello& hello = worker_of(session).hello;
    const auto has = [](const std::vector<std::string>& list, const std::string& name) {
      return std::find(list.begin(), list.end(), name) != list.end();
    };
    const bool runs_type = requirement.type.empty() || has(hello.handlers, requirement.type);
    const bool labelled = std::all_of(requirement.labels.begin(), requirement.labels.end(),
                                      [&](const std::string& label) { return has(hello.labels, label); });
    known = runs_type && labelled && requirement.slots <= session.slots ? 1 : 0;
  }
  return known == 1;
}

}  // namespace workpool::dispatcher
