// SPDX-License-Identifier: MIT
#include "dispatcher/core/blame.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "common/base/text.h"

namespace workpool::dispatcher {

void Blame::suspect(Worker& worker, std::uint32_t engine, std::vector<Handle> candidates, Step& step) {
  if (engine <= worker.deaths_counted || candidates.empty()) return;
  if (worker.blame) lose(worker, step);  // an older one that was never explained
  worker.blame = PendingBlame{engine, step.now + options_.worker_timeout, std::move(candidates)};
  waiting_.insert(worker.id);
}

void Blame::acquit(Worker& worker, std::uint32_t engine) {
  if (worker.blame && worker.blame->engine == engine) worker.blame.reset();
}

void Blame::died(Worker& worker, const Died& died, Step& step) {
  for (const Death& death : died.deaths) {
    if (death.engine >= worker.hello.engine) continue;    // this one lives
    if (death.engine <= worker.deaths_counted) continue;  // reported again: its ack was lost
    const bool first = std::exchange(worker.deaths_counted, death.engine) == 0;
    if (worker.blame && worker.blame->engine <= death.engine) worker.blame.reset();
    name(worker, death, first, step);
  }
}

// Only jobs that this worker had count. We remember nothing from before this start of the dispatcher, so we
// believe one death from that time (`first`), about jobs that no worker has had since. More than one engine
// cannot die of jobs while no dispatcher is there to give it any.
void Blame::name(Worker& worker, const Death& death, bool first, Step& step) {
  EngineDied report{worker.name, death.cause, {}};
  std::vector<Key> named;
  for (const Key& key : death.ran) {
    const auto row = ledger_.jobs().find_active(key);
    if (!row || !(first ? ledger_.believes(worker, *row) : ledger_.had(worker, *row))) continue;
    report.ran.push_back(ledger_.jobs().at(*row).facts.full_id());
    ledger_.name_in_death(*row, worker.name);
    named.push_back(key);
  }
  step.decide(Report{std::move(report)});
  if (death.ran.size() == 1 && named.size() == 1) judge_alone(named.front(), death.cause, step);
}

void Blame::judge_alone(const Key& key, const std::string& cause, Step& step) {
  const auto row = ledger_.jobs().find_active(key);
  if (!row) return;
  const ActiveJob& job = ledger_.jobs().at(*row);
  if (!job.known ||
      (job.trouble().named < options_.crash_limit && job.trouble().lost < 3 * options_.crash_limit))
    return;
  ledger_.quarantine(*row,
                     "killed the worker's engine " +
                         counted(job.trouble().named + job.trouble().lost, "time") +
                         ", the last time alone: " + cause,
                     step);
}

void Blame::lose(Worker& worker, Step& step) {
  const PendingBlame blame = std::move(*worker.blame);
  worker.blame.reset();
  const bool alone = blame.candidates.size() == 1;
  for (const Handle handle : blame.candidates) {
    const auto row = ledger_.jobs().find(handle);
    if (!row) continue;  // it has a result: cleared
    const ActiveJob& job = ledger_.jobs().at(*row);
    ledger_.count_loss(*row);
    if (!alone || !job.known || job.trouble().lost < 3 * options_.crash_limit) continue;
    ledger_.quarantine(
        *row, "lost with its worker " + counted(job.trouble().lost, "time") + ", the last time alone", step);
  }
}

void Blame::judge_overdue(Step& step) {
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    Worker* worker = workers_.find(*it);
    if (worker->blame && worker->blame->deadline <= step.now) lose(*worker, step);
    it = worker->blame ? std::next(it) : waiting_.erase(it);
  }
}

std::optional<Time> Blame::next_deadline() const {
  std::optional<Time> next;
  for (const WorkerId id : waiting_) {
    const auto& blame = workers_.workers().at(id).blame;
    if (blame && (!next || blame->deadline < *next)) next = blame->deadline;
  }
  return next;
}

}  // namespace workpool::dispatcher
