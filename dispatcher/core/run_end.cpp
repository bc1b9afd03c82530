// SPDX-License-Identifier: MIT
#include "dispatcher/core/run_end.h"

#include <cerrno>

namespace workpool::dispatcher {

ExitCode exit_code_of(const RunEnd& end) {
  struct Visitor {
    ExitCode operator()(const AllRecorded& e) const { return e.all_ok ? ExitCode::kOk : ExitCode::kNotAllOk; }
    ExitCode operator()(const NobodyFits&) const { return ExitCode::kNotAllOk; }
    ExitCode operator()(const Stopped& e) const {
      return e.by == StopKind::kInterrupt ? ExitCode::kInterrupted : ExitCode::kTerminated;
    }
    ExitCode operator()(const JobsChanged&) const { return ExitCode::kBadInput; }
    ExitCode operator()(const JobsUnreadable&) const { return ExitCode::kBadInput; }
    ExitCode operator()(const NoLocalWorker&) const { return ExitCode::kSystem; }
    ExitCode operator()(const ResultsLost&) const { return ExitCode::kResultsFailed; }
    ExitCode operator()(const TooManyNotOk&) const { return ExitCode::kNotAllOk; }
    ExitCode operator()(const EnoughOk&) const { return ExitCode::kOk; }
    ExitCode operator()(const TooFewOk&) const { return ExitCode::kNotAllOk; }
  };
  return std::visit(Visitor{}, end);
}

bool needs_last_look(const RunEnd& end) {
  return std::holds_alternative<AllRecorded>(end) || std::holds_alternative<NobodyFits>(end) ||
         std::holds_alternative<TooManyNotOk>(end) || std::holds_alternative<EnoughOk>(end) ||
         std::holds_alternative<TooFewOk>(end);
}

RunEnd after_last_look(RunEnd end, const LastLook& look) {
  if (!needs_last_look(end)) return end;
  if (!look.results_in_place) return ResultsLost{ESTALE};
  if (!look.jobs_unchanged) return JobsChanged{};
  return end;
}

}  // namespace workpool::dispatcher
