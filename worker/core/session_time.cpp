// SPDX-License-Identifier: MIT
// The part of the session that leaves by the clock: when nothing came for long (--idle), and before an
// allotted time is over (--for), when it takes only what can still be done.
#include <algorithm>

#include "worker/core/session.h"

namespace workpool::worker {
namespace {

// What is queued is looked through this often.
constexpr Duration kLookInterval = seconds(1);

}  // namespace

// By its timeout it is over in any case; what has none is judged by others of its kind.
bool Session::fits_time(const JobOrder& order) const {
  if (!options_.leave_at) return true;
  const Duration expected = order.timeout.count() > 0 ? order.timeout : 2 * times_of(order.kind).median();
  return expected <= *options_.leave_at - kKillTime - now_;
}

void Session::return_what_takes_too_long() {
  if (!options_.leave_at || now_ < looked_for_time_ + kLookInterval) return;
  looked_for_time_ = now_;
  std::vector<ReturnedJob> back;
  std::vector<std::uint64_t> ended;
  attempts_.each([&](const Attempt& attempt) {
    if (!attempt.is<Attempt::Queued>() || fits_time(attempt.order)) return;
    back.push_back(returned(attempt.order, ReturnReason::kNoTime));
    ended.push_back(attempt.token);
  });
  for (const std::uint64_t token : ended) attempts_.end(*attempts_.find(token), now_);
  give_back(std::move(back));
}

// When what runs is told that the time is nearly up.
std::optional<Time> Session::last_call() const {
  if (!options_.leave_at || stops_ > 0) return std::nullopt;
  return *options_.leave_at - kKillTime - options_.grace;
}

std::optional<Time> Session::idle_until() const {
  if (!options_.idle || stops_ > 0) return std::nullopt;
  return busy_at_ + *options_.idle;
}

void Session::judge_time() {
  if (std::holds_alternative<Left>(state_) || std::holds_alternative<Leaving>(state_)) return;
  // Results that no dispatcher has come for are given up with what ran for it.
  const bool has_results = !kept_.empty() && !orphaned_;
  if (attempts_.queued() + attempts_.working() + attempts_.doubtful() > 0 || has_results) busy_at_ = now_;
  if (const auto call = last_call(); call && now_ >= *call) {
    const Duration left = std::max(Duration{0}, *options_.leave_at - kKillTime - now_);
    begin_stop(TimeIsUp{attempts_.working(), left}, now_ + left);
  } else if (const auto until = idle_until(); until && now_ >= *until) {
    begin_stop(NothingCame{*options_.idle}, orphaned_ ? now_ : now_ + options_.grace);
  }
}

}  // namespace workpool::worker
