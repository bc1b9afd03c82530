// SPDX-License-Identifier: MIT
#include "tests/simulation/limit_book.h"

#include "common/base/units.h"
#include "common/formats/limit_rules.h"

namespace workpool::simulation {

LimitBook::LimitBook(const Setup& setup)
    : loses_nobody_(setup.loses_no_worker()), starts_at_once_(setup.only_own_faults()) {
  // A thread that a handler does not leave holds up what was handed to it, and the worker knows no better
  // than that this has begun.
  for (const JobPlan& job : setup.jobs) starts_at_once_ = starts_at_once_ && !job.stubborn;
}

std::string LimitBook::begins(const Limit& limit, std::uint32_t others, Time now) {
  if (loses_nobody_ && limit.rule.most > 0 && others >= limit.rule.most)
    return "S15: " + std::to_string(others + 1) + " jobs of the limit " + limit.key + " run at once";
  if (!starts_at_once_ || !limit.rule.limits_rate()) return {};
  std::deque<Time>& begun = begun_[limit.key];
  begun.push_back(now);
  if (begun.size() <= limit.rule.starts) return {};
  const Time earliest = begun.front();
  begun.pop_front();
  // Clocks differ by up to 1 % each.
  if (now - earliest >= limit.rule.per - limit.rule.per / 40) return {};
  return "S16: of the limit " + limit.key + "=" + text_of(limit.rule) + " one more begins within " +
         format_duration(now - earliest) + " of " + format_duration(limit.rule.per);
}

}  // namespace workpool::simulation
