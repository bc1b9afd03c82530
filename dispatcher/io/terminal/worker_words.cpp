// SPDX-License-Identifier: MIT
#include "dispatcher/io/terminal/worker_words.h"

#include <fmt/format.h>

#include "common/base/text.h"
#include "common/base/units.h"

namespace workpool::dispatcher {
namespace {

constexpr std::size_t kNameBytesMax = 80;
constexpr std::size_t kReasonBytesMax = 60;

std::string shown(const std::string& name) { return printable(name, kNameBytesMax); }

std::string reason_for(const RefusalCause& cause) {
  struct Visitor {
    std::string operator()(const RunComplete&) const { return "the run is complete"; }
    std::string operator()(const OtherProtocol& e) const {
      // The rest of a HELLO of another protocol is not read.
      const std::string version = e.version.empty() ? "" : " (version " + printable(e.version) + ")";
      return fmt::format(
          "this dispatcher speaks protocol {}, the worker{} protocol {}; install the same version of "
          "workpool "
          "on both",
          kProtocol, version, e.protocol);
    }
    std::string operator()(const NoText&) const {
      return "a HELLO whose version, name, handlers or labels are not UTF-8";
    }
    std::string operator()(const NoIdentity&) const {
      return "a HELLO without a name, a slot or an identity";
    }
    std::string operator()(const IdUsedBefore& e) const {
      return fmt::format(
          "worker id {} has registered with engine {}, try {} already, this is engine {}, try {}; each start "
          "of a worker needs a new random id, and engine and try must rise",
          hex64(e.worker.value), e.engine, e.try_number, e.engine_now, e.try_now);
    }
    std::string operator()(const IdOfAnotherKey& e) const {
      return fmt::format(
          "worker id {} belongs to a worker with another key; each start of a worker needs a new random id",
          hex64(e.worker.value));
    }
    std::string operator()(const KeyNotValid&) const { return "its key has been revoked, or has expired"; }
    std::string operator()(const TooManyRegister&) const {
      return "too many workers are registering at this moment";
    }
    std::string operator()(const TooManyWorkers&) const { return "this run has had too many workers"; }
  };
  return std::visit(Visitor{}, cause);
}

}  // namespace

Refused refused_for(const RefusalCause& cause) { return {kProtocol, code_of(cause), reason_for(cause)}; }

std::string leave_text(const LeaveCause& cause) {
  struct Visitor {
    std::string operator()(const SaidGoodbye&) const { return "said goodbye"; }
    std::string operator()(const SilentFor& e) const { return "silent for " + format_duration(e.time); }
    std::string operator()(const ConnectionLost&) const { return "connection lost"; }
    std::string operator()(const ConnectionClosed&) const { return "connection closed"; }
    std::string operator()(const NeverReady&) const { return "registered but did not say that it is ready"; }
    std::string operator()(const KeptWhatWasRecalled&) const { return "did not return what was asked back"; }
    std::string operator()(const OwesAResult&) const {
      return "did not send the result of a job that has ended there";
    }
    std::string operator()(const KeyRevoked&) const { return "its key has been revoked, or has expired"; }
  };
  return std::visit(Visitor{}, cause);
}

std::string untruth_text(const WorkerUntrue& worker) {
  const char* what = "that it does not serve";
  switch (worker.what) {
    case Untruth::kHoldsTooMuch:
      return fmt::format("worker {} says that it runs more jobs than it has room for; its session ends",
                         shown(worker.name));
    case Untruth::kRanTooLong:
      what = "that ran for longer than it has had the job";
      break;
    case Untruth::kForeignType:
      break;
  }
  return fmt::format("worker {} sends a result of job '{}' {}; it does not count, and the session ends",
                     shown(worker.name), shown(worker.id), what);
}

std::string spoke_text(const SpokeForAnother& peer, const std::string& key_name) {
  return fmt::format(
      "a peer with the key of '{}' speaks for worker {}, which has another key; what it says does not count",
      shown(key_name), shown(peer.name));
}

std::string turned_away_text(const TurnedAway& peer, bool has_keys) {
  const std::string who = peer.address.empty() ? "a peer" : "a peer at " + printable(peer.address);
  std::string text = "turned away " + who + ": ";
  const std::string key = "its key " + peer.fingerprint;
  switch (peer.why) {
    case TurnedAwayFor::kNoKey:
      return text + (has_keys ? "it has no key; give it WORKPOOL_KEY, or --key FILE"
                              : "it has a key, and this run has none (--insecure)");
    case TurnedAwayFor::kOtherKey:
      return text + "its key is for another dispatcher";
    case TurnedAwayFor::kUnknownKey:
      return text + key + " is not known here";
    case TurnedAwayFor::kRevokedKey:
      return text + key + " has been revoked";
    case TurnedAwayFor::kExpiredKey:
      return text + key + " has expired";
    case TurnedAwayFor::kOtherLane:
      return text + key + " is not that of the worker whose jobs it wants";
  }
  return text;
}

std::string over_timeout_text(const OverItsTimeout& job) {
  return fmt::format("job {} has run on worker {} for {}; its timeout is {}, but the worker does not end it",
                     shown(job.id), shown(job.worker), format_duration(job.ran),
                     format_duration(job.timeout));
}

std::string taken_away_text(const JobsTakenAway& taken) {
  const std::string id = shown(taken.id);
  const std::string what =
      taken.jobs == 1 ? "job " + id : fmt::format("{} jobs, such as {},", taken.jobs, id);
  const Duration whole = std::chrono::duration_cast<std::chrono::seconds>(taken.held);
  return fmt::format(
      "worker {} is there but has not started {} for {}: they are given out again, and it gets one job at a "
      "time until it has done one",
      shown(taken.worker), what, format_duration(whole));
}

std::string benched_text(const WorkerBenched& worker) {
  std::string text = fmt::format(
      "worker {} is benched: its last {} failed ({}), elsewhere {} of {} did; retried in {}",
      shown(worker.name), counted(worker.failed, "job"), printable(worker.message, kReasonBytesMax),
      worker.elsewhere_failed, worker.elsewhere_ended, format_duration(worker.probed_in));
  if (worker.withdrawn > 0)
    text += fmt::format("; {} withdrawn and run{} again", counted(worker.withdrawn, "result"),
                        worker.withdrawn == 1 ? "s" : "");
  return text;
}

std::string unbenched_text(const WorkerUnbenched& worker) {
  std::string text = "worker " + shown(worker.name) + " is back: ";
  switch (worker.why) {
    case BackBecause::kProbeOk:
      return text + "a job was ok there";
    case BackBecause::kNeeded:
      return text + "no other worker could run what is left";
    case BackBecause::kNothingLeft:
      return text + "no job like those that failed there is left";
  }
  return text;
}

}  // namespace workpool::dispatcher
