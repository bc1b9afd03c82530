// SPDX-License-Identifier: MIT
#include "dispatcher/core/stop_rule.h"

namespace workpool::dispatcher {

std::optional<RunEnd> stop_of(const StopRule& rule, const Tally& tally) {
  if (rule.ok && tally.ok >= *rule.ok) return EnoughOk{*rule.ok, true};
  if (rule.not_ok && tally.not_ok_here >= *rule.not_ok)
    return TooManyNotOk{tally.not_ok_here, tally.ended_here, *rule.not_ok, false};
  if (rule.not_ok_percent && tally.ended_here >= StopRule::kPartOfLeast &&
      tally.not_ok_here * 100 >= tally.ended_here * *rule.not_ok_percent)
    return TooManyNotOk{tally.not_ok_here, tally.ended_here, *rule.not_ok_percent, true};
  return std::nullopt;
}

RunEnd end_of_all(const StopRule& rule, std::uint64_t ok, bool all_ok) {
  if (!rule.ok) return AllRecorded{all_ok};
  if (ok >= *rule.ok) return EnoughOk{*rule.ok, false};
  return TooFewOk{*rule.ok};
}

}  // namespace workpool::dispatcher
