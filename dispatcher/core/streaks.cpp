// SPDX-License-Identifier: MIT
#include "dispatcher/core/streaks.h"

#include <algorithm>
#include <utility>

#include "common/base/text.h"

namespace workpool::dispatcher {
namespace {

// What people are shown of a message is shorter.
constexpr std::size_t kMessageKept = 256;
// Once a job has failed elsewhere too, nothing is tried with another one for this long.
constexpr Duration kUnsuspected = seconds(10);

}  // namespace

void Streaks::failed(Session& session, std::uint32_t requirement, const Outcome& outcome, Duration ran,
                     Time now) {
  if (ran > kQuick) return end(session);
  if (session.streak == nullptr) session.streak = std::make_unique<Streak>(now, kept_);
  Streak& streak = *session.streak;
  if (++streak.failed == kSuspected &&
      std::find(suspects_.begin(), suspects_.end(), session.id) == suspects_.end())
    suspects_.push_back(session.id);
  streak.message = utf8_prefix(outcome.message, kMessageKept);
  const RequirementClass& group = classes_.at(requirement);
  const auto known = std::find_if(streak.classes.begin(), streak.classes.end(), [&](const auto& of) {
    return of.requirement == requirement && of.serial == group.serial();
  });
  if (known != streak.classes.end()) {
    ++known->failed;
  } else if (streak.classes.size() < Streak::kClassesMost) {
    // This one is counted there already.
    const EndCounts before{group.ended.ok, group.ended.not_ok - 1};
    streak.classes.push_back({requirement, group.serial(), before, 1});
  }
}

void Streaks::recorded(Session& session, RecordedFailure&& failure) {
  if (session.streak == nullptr) return;
  failure.message = utf8_prefix(failure.message, kMessageKept);
  session.streak->keep(std::move(failure), kKeptMost);
}

// Calls `found` with each session that the job has failed on in its present streak.
template <class Found>
void Streaks::for_each_blamed(const Trouble& trouble, const Found& found) {
  const auto look = [&](WorkerId id) {
    const Worker* worker = workers_.find(id);
    Session* session = worker == nullptr || !worker->session ? nullptr : workers_.find(*worker->session);
    if (session == nullptr || session->streak == nullptr) return;
    if (trouble.failed_at >= session->streak->since) found(*session);
  };
  for (const WorkerId id : trouble.not_on) look(id);
  if (trouble.rather_not_on.value != 0) look(trouble.rather_not_on);
}

void Streaks::proved(const Trouble& trouble) {
  for_each_blamed(trouble, [](Session& session) { session.streak->proven = true; });
}

void Streaks::refuted(const Trouble& trouble, const Session& by, Time now) {
  const bool clean = by.streak == nullptr && by.done > 0;
  for_each_blamed(trouble, [&](Session& session) {
    if (session.id == by.id) return;
    const bool was_on_trial = std::exchange(session.streak->on_trial, false);
    if (clean) {
      end(session);
      session.unsuspected_until = now + kUnsuspected;
    }
    if (was_on_trial) workers_.touch(session);
  });
}

const std::vector<SessionId>& Streaks::suspects() {
  std::erase_if(suspects_, [&](SessionId id) {
    const Session* session = workers_.find(id);
    return session == nullptr || session->streak == nullptr || session->streak->failed < kSuspected;
  });
  return suspects_;
}

}  // namespace workpool::dispatcher
