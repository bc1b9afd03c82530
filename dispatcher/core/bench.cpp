// SPDX-License-Identifier: MIT
#include "dispatcher/core/bench.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace workpool::dispatcher {
namespace {

constexpr Duration kProbeInterval = seconds(60);
constexpr Duration kLookInterval = milliseconds(50);
// A worker that is perhaps innocent waits no longer for the verdict.
constexpr Duration kTrialMost = seconds(60);
// Where jobs of the requirement succeed, at most a quarter of them may fail: then ten failures in a row by
// chance are one in a million.
constexpr std::uint64_t kOkPerNotOk = 3;
// If no failure can be withdrawn and tried elsewhere, the counts alone have to be clear.
constexpr std::uint64_t kClearOk = 10;
constexpr std::uint64_t kClearOkPerNotOk = 9;

}  // namespace

void Bench::judge(bool input_ended, Step& step) {
  if (!streaks_.any_suspect() && !workers_.any_benched()) return;
  // The last chance is before the run ends.
  if (step.now < judged_at_ + kLookInterval && ledger_.jobs().open() > 0) return;
  judged_at_ = step.now;
  if (streaks_.any_suspect()) {
    const std::vector<SessionId> suspects = streaks_.suspects();
    for (const SessionId id : suspects) {
      Session* session = workers_.find(id);
      // One that was judged before may have ended this one's streak.
      if (session != nullptr && session->streak != nullptr) judge_suspect(*session, step);
    }
  }
  if (workers_.any_benched()) look_at_benched(input_ended, step);
}

// ---- suspects ----

// Other workers that may be as bad say nothing about jobs.
std::uint64_t Bench::failed_at_other_suspects(const Session& session, const Streak::OfClass& of) const {
  std::uint64_t failed = 0;
  for (const auto& [id, other] : workers_.sessions()) {
    if (id == session.id || other.streak == nullptr || other.streak->failed < Streaks::kSuspected) continue;
    for (const Streak::OfClass& theirs : other.streak->classes) {
      if (theirs.requirement == of.requirement && theirs.serial == of.serial) failed += theirs.failed;
    }
  }
  return failed;
}

// While the streak lasts nothing of its session is ok, so what is ok came from others.
Bench::Evidence Bench::evidence_of(const Session& session) const {
  Evidence evidence;
  std::uint64_t most = 0;
  for (const Streak::OfClass& of : session.streak->classes) {
    if (!classes_.used(of.requirement) || classes_.at(of.requirement).serial() != of.serial) continue;
    const EndCounts& now = classes_.at(of.requirement).ended;
    // What others failed at is counted off when they are benched, though it may have come before this streak.
    const std::uint64_t known = of.before.not_ok + of.failed;
    EndCounts elsewhere{now.ok - of.before.ok, now.not_ok - std::min(now.not_ok, known)};
    if (elsewhere.ok == 0) continue;
    elsewhere.not_ok -= std::min(elsewhere.not_ok, failed_at_other_suspects(session, of));
    if (elsewhere.ok < kOkPerNotOk * elsewhere.not_ok) continue;
    evidence.failed += of.failed;
    evidence.elsewhere.ok += elsewhere.ok;
    evidence.elsewhere.not_ok += elsewhere.not_ok;
    if (of.failed <= most) continue;
    most = of.failed;
    evidence.requirement = of.requirement;
  }
  return evidence;
}

bool Bench::is_proven(const Streak& streak, const Evidence& evidence) const {
  if (streak.proven) return true;
  return !options_.may_withdraw && evidence.elsewhere.ok >= kClearOk &&
         evidence.elsewhere.ok >= kClearOkPerNotOk * evidence.elsewhere.not_ok;
}

void Bench::judge_suspect(Session& session, Step& step) {
  Streak& streak = *session.streak;
  if (streak.on_trial && step.now >= streak.trial_began + kTrialMost) {
    streak.on_trial = false;
    session.unsuspected_until = step.now + kTrialMost;
    workers_.touch(session);
  }
  if (workers_.benched(session) != nullptr) return;
  const Evidence evidence = evidence_of(session);
  if (evidence.failed < Streaks::kSuspected || !is_dispensable(session)) return;
  if (is_proven(streak, evidence)) {
    bench(session, evidence, step);
  } else if (!streak.on_trial && step.now >= session.unsuspected_until) {
    try_elsewhere(session, step);
  }
}

bool Bench::is_dispensable(const Session& session) const {
  for (std::uint32_t number = 0; number < classes_.size(); ++number) {
    if (!classes_.used(number) || ledger_.jobs().open(number) == 0) continue;
    const Requirement& requirement = classes_.at(number).requirement();
    if (workers_.meets(session, requirement) && !workers_.any_other(requirement, {&session.worker, 1}))
      return false;
  }
  return true;
}

// The same job on another worker tells whose fault it was.
void Bench::try_elsewhere(Session& session, Step& step) {
  if (!session.streak->keeps_any()) return;
  const std::uint64_t before = ledger_.withdrawn();
  withdraw(session, 1, step);
  if (ledger_.withdrawn() == before) return;
  session.streak->on_trial = true;
  session.streak->trial_began = step.now;
  workers_.touch(session);
  ledger_.recall(session, step);
}

void Bench::withdraw(Session& session, std::size_t most, Step& step) {
  FailuresWithdrawn report{session.name, {}};
  while (report.failures.size() < most && session.streak->keeps_any()) {
    RecordedFailure failure = session.streak->take_newest();
    const Requirement& requirement = classes_.at(failure.facts.requirement).requirement();
    // If nobody else could run it, it stands.
    if (workers_.any_other(requirement, {&session.worker, 1}))
      report.failures.push_back(ledger_.withdraw(std::move(failure), session, step));
  }
  if (!report.failures.empty()) step.decide(Report{std::move(report)});
}

void Bench::bench(Session& session, const Evidence& evidence, Step& step) {
  WorkerBenched report;
  report.name = session.name;
  report.failed = session.streak->failed;
  report.message = session.streak->message;
  report.elsewhere_failed = evidence.elsewhere.not_ok;
  report.elsewhere_ended = evidence.elsewhere.ok + evidence.elsewhere.not_ok;
  report.probed_in = kProbeInterval;
  const std::uint64_t before = ledger_.withdrawn();
  withdraw(session, Streaks::kKeptMost, step);
  report.withdrawn = ledger_.withdrawn() - before;
  Benched benched;
  benched.requirement = evidence.requirement;
  benched.serial = classes_.at(evidence.requirement).serial();
  benched.probe_at = step.now + kProbeInterval;
  workers_.bench(session, benched);
  // It says nothing about the jobs, so others are not judged by it.
  for (const Streak::OfClass& of : session.streak->classes) {
    if (!classes_.used(of.requirement) || classes_.at(of.requirement).serial() != of.serial) continue;
    EndCounts& ended = classes_.change(of.requirement).ended;
    ended.not_ok -= std::min(ended.not_ok, of.failed);
  }
  streaks_.end(session);
  ledger_.recall(session, step);
  step.decide(Report{std::move(report)});
}

// ---- on the bench ----

void Bench::look_at_benched(bool input_ended, Step& step) {
  for (auto& [id, session] : workers_.sessions()) {
    const Benched* benched = workers_.benched(session);
    if (benched == nullptr) continue;
    const bool is_left = classes_.used(benched->requirement) &&
                         classes_.at(benched->requirement).serial() == benched->serial &&
                         ledger_.jobs().open(benched->requirement) > 0;
    std::optional<BackBecause> why;
    if (benched->probe_was_ok) {
      why = BackBecause::kProbeOk;
    } else if (!is_left) {
      why = BackBecause::kNothingLeft;
    } else if (!is_dispensable(session)) {
      why = BackBecause::kNeeded;
    }
    if (!why) continue;
    workers_.unbench(session);
    // At the end of the run nobody cares; but what is still to come may go there.
    if (!input_ended || ledger_.jobs().open() > 0) step.decide(Report{WorkerUnbenched{session.name, *why}});
  }
}

}  // namespace workpool::dispatcher
