// SPDX-License-Identifier: MIT
// What the worker's session machine is told and what it decides, as values. The engine's loop and the
// simulator make the events and carry out the actions in order.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/outcome.h"
#include "common/base/progress.h"
#include "common/base/time.h"
#include "common/wire/messages.h"
#include "worker/core/says.h"

namespace workpool::worker {

// From TERM over 5 s of patience to KILL and reaping.
inline constexpr Duration kKillTime = seconds(6);

struct SessionOptions {
  WorkerId worker;
  std::uint32_t engine = 1;
  std::string name;
  std::uint32_t slots = 1;
  std::vector<std::string> handlers;
  std::vector<std::string> labels;
  std::string version;
  RunId run;  // of the last WELCOME that an engine of this worker had; 0 = none, this is first contact
  // How long to go on without a dispatcher once there was one; nullopt = without end.
  std::optional<Duration> orphan_grace = seconds(60);
  // The same for first contact; nullopt = without end.
  std::optional<Duration> first_contact = std::nullopt;
  Duration grace = seconds(25);                 // from a stop to the end of what runs
  bool keep = false;                            // wait for the next run instead of leaving
  std::optional<Duration> idle = std::nullopt;  // leave if there was nothing to do for so long
  // By then the worker has left. Long before, it takes no job any more that would not be over by then.
  std::optional<Time> leave_at = std::nullopt;
};

// ---- events ----

struct Started {};
struct Welcomed {
  std::uint32_t try_number = 0;  // of the HELLO that it answers
  Welcome welcome;
};
struct RefusedBy {
  std::uint32_t try_number = 0;
  Refused refused;
  bool for_key = false;  // the two sides do not have the keys to talk to each other
};
// No address accepted, or no answer came.
struct RegistrationFailed {
  std::uint32_t try_number = 0;
  std::string reason;
  bool not_allowed = false;  // the name has addresses, and every one of them takes a key or --insecure
};
struct LaneReceived {
  Header header;
  LaneMessage message;
};
struct LanePart {
  SessionId session;
};
// The sink was once writable and is no more, or was not within 5 s.
struct SinkGone {
  SessionId session;
};
enum class AttemptEnd : std::uint8_t {
  kOutcome,      // ran: `outcome` holds
  kNotStarted,   // the lease had lapsed, or a KillAttempt came, before it was started; nothing ran
  kStopped,      // killed by a KillAttempt, gone with all its descendants; nothing to report
  kNoResources,  // the system had no descriptor, process or memory for it (outcome.message says which);
                 // nothing ran
  kDoubtful,  // a command that died of HUP, INT, TERM or KILL which its timeout did not send: `outcome` holds
              // its failure, unless a stop comes within 250 ms
};
struct AttemptEnded {
  std::uint64_t token = 0;
  AttemptEnd how = AttemptEnd::kOutcome;
  Outcome outcome;
  Duration ran{0};
  // What it ends with is final, but its thread has not come back yet, so its slot is still in use: a second
  // one, with kStopped and the same token, follows when it does.
  bool slot_lost = false;
  std::vector<int> alive{};  // processes of a command that could not be killed; nobody waits for them
  Duration waited{0};        // for its handler's program to start
};
struct JobProgressed {
  std::uint64_t token = 0;
  Progress progress;
};
struct JobsProgressed {
  std::vector<JobProgressed> jobs;
};
// Several at once, as the runner hands them over.
struct AttemptsEnded {
  std::vector<AttemptEnded> attempts;
};
struct DeathsKnown {  // from the supervisor, before Started
  std::vector<Death> deaths;
};
struct StopAsked {};  // TERM or INT: the first drains, the second cancels
struct StopNow {};    // the dispatcher of a local worker is gone
// A handler of this worker does not work here: its jobs are for others.
struct HandlerStopped {
  std::string type;
  std::string why;  // for people
};
// After every batch of events.
struct Drained {};

using Event =
    std::variant<Started, Welcomed, RefusedBy, RegistrationFailed, LaneReceived, LanePart, SinkGone,
                 AttemptsEnded, JobsProgressed, DeathsKnown, StopAsked, StopNow, HandlerStopped, Drained>;

// ---- actions ----

struct Register {
  Hello hello;
};
struct OpenSession {  // connect lane and sink to the address that answered
  Welcome welcome;
};
struct CloseSession {};
struct SendSink {
  Header header;
  SinkMessage message;
};
// The same with results; the session keeps them too, until they are acked.
struct SendResults {
  Header header;
  std::shared_ptr<const Results> results;
};
struct StartAttempt {
  std::uint64_t token = 0;  // unique among the attempts of this engine
  JobOrder order;
};
struct StartAttempts {  // in this order
  std::vector<StartAttempt> attempts;
};
struct KillAttempt {
  std::uint64_t token = 0;
  bool now = false;  // KILL at once
  JobKind kind = JobKind::kCommand;
};
// If it still waits for its turn in the runner, it ends as kNotStarted; else it goes on.
struct UnstartAttempt {
  std::uint64_t token = 0;
  JobKind kind = JobKind::kCommand;
};
// Nothing may be started after this time.
struct SetLease {
  Time until;
};
struct ForgetDeaths {  // acked
  std::uint32_t up_to_engine = 0;
};
struct Exit {
  int code = 0;
};

using Action = std::variant<Register, OpenSession, CloseSession, SendSink, SendResults, StartAttempts,
                            KillAttempt, UnstartAttempt, SetLease, ForgetDeaths, Say, Exit>;
using Actions = std::vector<Action>;

// Exit code of an engine that asks its supervisor for a new one, no crash counted (all slots lost to
// handlers).
inline constexpr int kExitRestart = 250;

}  // namespace workpool::worker
