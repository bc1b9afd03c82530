// SPDX-License-Identifier: MIT
// What the books say when a run ends.
#include <algorithm>
#include <string>

#include "tests/simulation/books.h"

namespace workpool::simulation {

// A third signal ends the run in its own step. The disk may have made the last results durable already, while
// that news stands behind the signal in the same batch of events: then the dispatcher says that it was
// stopped, because as far as it knows results are missing. It must not claim more than it was told.
bool Books::has_unheard_result() const {
  const auto from = pending_.begin() + static_cast<std::ptrdiff_t>(heard_);
  const auto to = pending_.begin() + static_cast<std::ptrdiff_t>(durable_);
  return std::any_of(from, to, [](const dispatcher::JournalEntry& entry) {
    return std::holds_alternative<dispatcher::Record>(entry);
  });
}

bool Books::everything_recorded() const {
  return std::all_of(jobs_.begin(), jobs_.end(), [](const auto& entry) {
    return entry.second.durable || entry.second.plan->invalid || !entry.second.plan->satisfiable;
  });
}

// A run stops by itself once what has ended says so, and not before.
void Books::stopped_by_itself(const dispatcher::RunEnd& why) {
  stopped_by_itself_ = ending_ = true;
  if (!dispatcher::stop_of(setup_.stop, tally_)) broke("stopped by itself too early");
  if (std::holds_alternative<dispatcher::EnoughOk>(why) != setup_.stop.ok.has_value())
    broke("stopped by itself for another reason");
}

bool Books::enough_ok() const {
  const auto ok = std::count_if(jobs_.begin(), jobs_.end(), [](const auto& entry) {
    return entry.second.durable && entry.second.durable_status == Status::kOk;
  });
  return setup_.stop.ok && static_cast<std::uint64_t>(ok) >= *setup_.stop.ok;
}

// The exit code that the rule gives; nullopt if it gives none. `all`: every job is recorded.
std::optional<int> Books::exit_code_by_rule(bool all) const {
  if (setup_.stop.ok && (all || stopped_by_itself_)) return enough_ok() ? 0 : 1;
  if (stopped_by_itself_ && !all) return 1;
  return std::nullopt;
}

void Books::check_finish(int exit_code, bool stopped_by_signal) {
  // A run that stops by itself is started again, and then all retries are there again.
  const bool stops = setup_.stop.ok || setup_.stop.not_ok || setup_.stop.not_ok_percent;
  const bool calm =
      !setup_.any_fault() && !stops &&
      std::none_of(setup_.jobs.begin(), setup_.jobs.end(), [](const JobPlan& plan) { return plan.poison; });
  bool all = true;
  bool ok = true;
  for (const auto& [key, entry] : jobs_) {
    all = all && ((entry.durable && !entry.open_again) || entry.plan->invalid);
    ok = ok && entry.durable && entry.durable_status == Status::kOk;
    if (calm && !entry.plan->invalid && entry.durable) {
      const std::uint32_t wanted = entry.plan->fails > 0 || entry.plan->hangs
                                       ? 1 + std::min(entry.plan->fails, entry.plan->facts.retries)
                                       : 1;
      const bool varies = entry.ran_more > 0 || entry.plan->hangs || entry.plan->by_signal ||
                          entry.plan->facts.timeout.count() > 0;
      if (!varies && entry.executions != wanted) {
        broke("without any fault " + entry.plan->facts.id + " ran " + std::to_string(entry.executions) +
              " times, not " + std::to_string(wanted));
      }
    }
  }
  const bool stands = all && !(stopped_by_signal && unheard_at_end_);
  const bool early = stopped_by_itself_ && !all;
  int wanted = stands ? (ok ? 0 : 1) : stopped_by_signal ? -1 : 1;
  if (const auto code = exit_code_by_rule(all); code && (stands || !stopped_by_signal)) wanted = *code;
  const bool either = early && stopped_by_signal;  // whichever counts depends on what is durable
  const bool wrong = wanted >= 0 ? exit_code != wanted : exit_code != 130 && exit_code != 143;
  if (wrong && !either) {
    broke("S12: exit code " + std::to_string(exit_code) + ", " +
          (all ? ok ? "all ok" : "some not ok" : "some left"));
  }
  if (!stopped_by_signal && !given_up_ && !stopped_by_itself_ && !everything_recorded())
    broke("S11: ended with jobs left");
  if (setup_.only_own_faults() && lost_reports_ > 0 &&
      std::none_of(setup_.jobs.begin(), setup_.jobs.end(), [](const JobPlan& plan) { return plan.poison; })) {
    broke("S8: the dispatcher's own slowness cost a worker its lease");
  }
}

}  // namespace workpool::simulation
