// SPDX-License-Identifier: MIT
// What the books say of machines on which everything fails: who may be benched, what a bench may cost, and
// what may be withdrawn.
#include <algorithm>
#include <string>

#include "tests/simulation/books.h"

namespace workpool::simulation {
namespace {

constexpr std::uint64_t kStreak = 10;
constexpr Duration kQuick = seconds(1);
// The scheduler looks at the bench in every step, and a step comes at least every 250 ms.
constexpr Duration kNoticed = seconds(1);

}  // namespace

void Books::will_fail_for_its_worker(const Key& key) {
  if (JobEntry* entry = job(key)) ++entry->ran_more;
  allow_waste(1);
}

void Books::machine_ended(const OpenSession& session, const JobEntry& entry, const JobResult& result) {
  Machine& machine = machines_[session.worker];
  const bool quick = result.outcome.status != Status::kOk && result.ran <= kQuick;
  machine.failed_in_a_row = quick ? machine.failed_in_a_row + 1 : 0;
  if (result.outcome.status != Status::kOk) job(entry.plan->facts.key)->failed_on.insert(session.worker);
}

void Books::withdrawn(const dispatcher::FailuresWithdrawn& report) {
  for (const dispatcher::JobEnded& failure : report.failures) {
    JobEntry* entry = job(key_of_id(failure.id));
    if (entry == nullptr || !entry->settled()) {
      broke("withdrawn without a record: " + failure.id);
      continue;
    }
    if (entry->pending == 0) broke("a record of an earlier start is withdrawn: " + failure.id);
    if (entry->last_status == Status::kOk) broke("an ok is withdrawn: " + failure.id);
    entry->open_again = true;
    --tally_.ended_here;
    --tally_.not_ok_here;
    entry->pending = 0;
    ++entry->rewrites;
    ++entry->ran_more;
    allow_waste(1);
  }
}

void Books::benched(const std::string& name, bool is_benched) {
  const auto found = std::find_if(sessions_.begin(), sessions_.end(),
                                  [&](const auto& open) { return open.second.name == name; });
  if (found == sessions_.end()) return broke("a worker that is not there is benched, or is back: " + name);
  Machine& machine = machines_[found->second.worker];
  if (machine.benched == is_benched) broke("benched twice, or back without having been: " + name);
  if (is_benched && machine.failed_in_a_row < kStreak)
    broke("benched, and its last jobs did not fail: " + name);
  machine = {0, is_benched, now_};
  any_benched_ = any_benched_ || is_benched;
  if (is_benched && is_needed(found->second)) broke("benched, and only it can run what is left: " + name);
}

// Whether a job that is left could be run by this session, and by no other that is not on the bench.
bool Books::is_needed(const OpenSession& session) const {
  const auto others_can = [&](const Requirement& needed) {
    return std::any_of(sessions_.begin(), sessions_.end(), [&](const auto& open) {
      const OpenSession& other = open.second;
      const auto machine = machines_.find(other.worker);
      const bool benched = machine != machines_.end() && machine->second.benched;
      return other.worker != session.worker && other.connected() && other.accepting && !benched &&
             other.offers(needed);
    });
  };
  return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& job) {
    const JobEntry& entry = job.second;
    const bool left = entry.came && !entry.settled() && !entry.plan->invalid;
    return left && session.offers(entry.plan->requirement) && !others_can(entry.plan->requirement);
  });
}

void Books::look_at_bench() {
  if (!any_benched_) return;
  bool needed = false;
  for (const auto& [id, session] : sessions_) {
    const auto machine = machines_.find(session.worker);
    if (machine == machines_.end() || !machine->second.benched) continue;
    needed = needed || (session.connected() && session.accepting && is_needed(session));
  }
  if (!needed || ending_) return needed_since_.reset();
  if (!needed_since_) needed_since_ = now_;
  if (now_ >= *needed_since_ + kNoticed) broke("the bench empties the pool");
}

// Its holder did not begin it or may not have it, so nobody has to ask there again.
void Books::taken_away(JobEntry& entry) {
  entry.cancelled = true;
  if (const auto holder = sessions_.find(entry.holder); holder != sessions_.end())
    entry.failed_on.insert(holder->second.worker);
}

// A job that cannot start is recorded so only if nobody is there who might be able to start it. Whoever has
// failed at everything lately may be on trial, and does not count.
void Books::check_cannot_start(const JobEntry& entry) {
  for (const auto& [id, session] : sessions_) {
    const auto machine = machines_.find(session.worker);
    const bool doubted =
        machine != machines_.end() && (machine->second.benched || machine->second.failed_in_a_row >= kStreak);
    if (doubted || !session.connected() || !session.accepting || !session.offers(entry.plan->requirement))
      continue;
    if (!entry.failed_on.contains(session.worker))
      broke("recorded as impossible to start, but " + session.name +
            " was not asked: " + entry.plan->facts.id);
  }
}

}  // namespace workpool::simulation
