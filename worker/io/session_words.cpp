// SPDX-License-Identifier: MIT
#include "worker/io/session_words.h"

#include <utility>

#include "common/base/text.h"
#include "common/base/units.h"

namespace workpool::worker {
namespace {

std::string ports_text(const PortsOutOfReach& ports) {
  const std::string results = std::to_string(ports.results) + " for results";
  return "the dispatcher answers, but its port " +
         (ports.jobs ? std::to_string(*ports.jobs) + " for jobs or " + results : results) +
         " is out of reach from here: open its --ports too, or forward them";
}

std::string cause_text(const AloneCause& cause) {
  struct Visitor {
    std::string operator()(const TurnedAway& c) const { return "refused: " + c.reason; }
    std::string operator()(const NoAnswer& c) const { return c.reason; }
    std::string operator()(const PortsOutOfReach& c) const { return ports_text(c); }
    std::string operator()(const SessionOver&) const { return "the session with the dispatcher ended"; }
  };
  return std::visit(Visitor{}, cause);
}

struct Worder {
  using Words = SessionWords;

  const Whereabouts& where;

  Words operator()(const Joined& s) const {
    return {LogLevel::kInfo, "joined", "as " + s.name,
            "joined " + where.dispatcher + " as " + s.name + ", " + counted(where.slots, "slot")};
  }
  Words operator()(const RefusedForGood& s) const {
    return {s.code == Refusal::kComplete ? LogLevel::kInfo : LogLevel::kError, "refused", s.reason,
            s.code == Refusal::kComplete ? s.reason : "refused: " + s.reason};
  }
  Words operator()(const NotAllowed& s) const { return {LogLevel::kError, "not_allowed", s.reason}; }
  Words operator()(const DispatcherSilent& s) const {
    const std::string what = s.out_of_reach
                                 ? ports_text(*s.out_of_reach)
                                 : "no sign of life from the dispatcher for " + format_duration(s.time);
    return {LogLevel::kWarn, "dispatcher_silent", what + ": registering again"};
  }
  Words operator()(const WaitingForDispatcher& s) const {
    return {LogLevel::kWarn, "waiting_for_dispatcher", cause_text(s.cause)};
  }
  Words operator()(const Orphaned& s) const {
    return {LogLevel::kWarn, "orphaned",
            "no dispatcher for " + format_duration(s.time) + " (" + cause_text(s.cause) + ")" +
                (s.kills ? ": killing what runs" : "")};
  }

  Words operator()(const Finishing& s) const {
    return stopping("finishing " + counted(s.jobs, "job") + ", for at most " + format_duration(s.at_most) +
                    "; once more cancels");
  }
  Words operator()(const HandingOver& s) const {
    return stopping("waiting at most " + format_duration(s.at_most) + " for a dispatcher to take " +
                    counted(s.results, "result"));
  }
  Words operator()(const NothingRuns&) const { return stopping("nothing runs: leaving"); }
  Words operator()(const Cancelling&) const { return stopping("cancelling what runs"); }
  Words operator()(const RunIsOver& s) const {
    return {LogLevel::kInfo, "run_over",
            s.waits ? "the run is over: waiting for the next one" : "the run is over: leaving"};
  }
  Words operator()(const NothingCame& s) const {
    return stopping("nothing to do for " + format_duration(s.time) + " (--idle): leaving");
  }
  Words operator()(const TimeIsUp& s) const {
    return stopping("the time is nearly up (--for, or the Slurm job's): " +
                    (s.jobs == 0 ? std::string("leaving")
                                 : "finishing " + counted(s.jobs, "job") + ", for at most " +
                                       format_duration(s.at_most)));
  }
  Words operator()(const ResultsLeft& s) const {
    return {LogLevel::kWarn, "results_left",
            counted(s.results, "result") +
                " that no dispatcher has taken end with this worker: what of it is not recorded runs again"};
  }

  Words operator()(const LacksResources& s) const {
    return {LogLevel::kWarn, "cannot_start", "cannot start a job: " + s.reason + "; pausing for a second"};
  }
  Words operator()(const SlotsLost&) const {
    return {LogLevel::kWarn, "slots_lost",
            "jobs that did not end after their timeout hold the slots: starting a new engine"};
  }

  static Words stopping(std::string text) { return {LogLevel::kInfo, "stopping", std::move(text)}; }
};

}  // namespace

SessionWords words_for(const Say& say, const Whereabouts& where) {
  SessionWords words = std::visit(Worder{where}, say);
  if (words.spoken.empty()) words.spoken = words.text;
  return words;
}

std::string work_text(std::uint64_t jobs, std::uint64_t not_ok, Duration time) {
  // A person reads no more than two figures.
  const Duration unit = time >= seconds(600)  ? seconds(60)
                        : time >= seconds(10) ? seconds(1)
                                              : milliseconds(100);
  std::string text = "ran " + counted(jobs, "job");
  if (not_ok > 0) text += ", " + std::to_string(not_ok) + " not ok,";
  return text + " in " + format_duration(time / unit * unit);
}

}  // namespace workpool::worker
