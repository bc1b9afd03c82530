// SPDX-License-Identifier: MIT
// The streaks of failures of all sessions: how they begin, grow and end. The ledger tells it how attempts
// have ended; bench.h judges. A session whose jobs do not fail has none and costs nothing.
#pragma once

#include <memory>
#include <vector>

#include "dispatcher/core/requirement_class.h"
#include "dispatcher/core/worker_table.h"

namespace workpool::dispatcher {

class Streaks {
 public:
  // Only failures that come within this are counted: what fails later has done something first.
  static constexpr Duration kQuick = seconds(1);
  // From this length on a session is suspected.
  static constexpr std::uint64_t kSuspected = 10;
  // So many recorded failures can be withdrawn, of all streaks of the run: 200 to 500 bytes each.
  static constexpr std::size_t kKeptMost = 16'384;

  Streaks(WorkerTable& workers, const RequirementClasses& classes) : workers_(workers), classes_(classes) {}

  // An attempt of a job of this requirement has failed there.
  void failed(Session& session, std::uint32_t requirement, const Outcome& outcome, Duration ran, Time now);
  // The last of these failures has been recorded for good.
  void recorded(Session& session, RecordedFailure&& failure);
  // Something else has ended there, such as a job that is ok.
  void end(Session& session) { session.streak.reset(); }

  // A job that has failed on these workers since then is ok elsewhere.
  void proved(const Trouble& trouble);
  // It has failed on another one, too, which is not suspected itself: it was not theirs.
  void refuted(const Trouble& trouble, const Session& by, Time now);

  // The sessions with a streak of suspicious length. Forgets those that have none any more.
  const std::vector<SessionId>& suspects();
  bool any_suspect() const { return !suspects_.empty(); }

 private:
  template <class Found>
  void for_each_blamed(const Trouble& trouble, const Found& found);

  WorkerTable& workers_;
  const RequirementClasses& classes_;
  std::shared_ptr<std::size_t> kept_ = std::make_shared<std::size_t>(0);
  std::vector<SessionId> suspects_;
};

}  // namespace workpool::dispatcher
