// SPDX-License-Identifier: MIT
// The messages between dispatcher and worker as values (docs/protocol.md has their encoding). One frame each.
// Durations are elapsed times measured by the sender, never clock readings.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/job.h"
#include "common/base/outcome.h"
#include "common/base/progress.h"
#include "common/base/shared_bytes.h"
#include "common/base/time.h"

namespace workpool {

// Raised when a message changes its meaning; fields added at the end do not raise it.
inline constexpr std::uint32_t kProtocol = 1;

// ---- registration (ROUTER <- DEALER), run = session = seq = 0 ----

struct Hello {
  std::uint32_t protocol = kProtocol;
  std::string version;  // of the program, for people
  WorkerId worker;
  std::uint32_t engine = 0;      // from 1, rises with every engine that the supervisor starts
  std::uint32_t try_number = 0;  // rises with every HELLO of an engine
  std::string name;
  std::uint32_t slots = 0;
  std::vector<std::string> handlers;  // types that it runs
  std::vector<std::string> labels;
};

struct StatusRequest {
  std::uint32_t protocol = kProtocol;
  bool all = false;  // all running jobs, as many as fit; else those that have run longest
};

struct StatusReply {
  std::uint32_t protocol = kProtocol;
  std::string json;  // one JSON object
};

struct Welcome {
  std::uint32_t protocol = kProtocol;
  RunId run;
  SessionId session;
  std::string name;  // as granted: the one asked for, perhaps with -2, -3 … appended
  std::uint16_t lane_port = 0;
  std::uint16_t sink_port = 0;
  Duration worker_timeout{0};        // a silence of this length ends the session
  std::uint64_t result_window = 0;   // bytes of results that may be sent beyond the last ack
  std::uint64_t capture_bytes = 0;   // kept of stdout, and of stderr
  bool capture_failed_only = false;  // of a command that is ok nothing is kept
};

enum class Refusal : std::uint8_t { kComplete = 0, kLater = 1, kWrongProtocol = 76, kOther = 77 };

struct Refused {
  std::uint32_t protocol = kProtocol;
  Refusal code = Refusal::kOther;
  std::string reason;
};

using RegistrationRequest = std::variant<Hello, StatusRequest>;
using RegistrationReply = std::variant<Welcome, Refused, StatusReply>;

// ---- header of everything on lane and sink ----

struct Header {
  RunId run;
  SessionId session;
  std::uint64_t seq = 0;  // per direction and session, from 1, beats included
  bool operator==(const Header&) const = default;
};

// ---- sink (PULL <- PUSH) ----

struct Death {
  std::uint32_t engine = 0;
  std::string cause;     // "signal 11 (SIGSEGV)", for people
  std::vector<Key> ran;  // the jobs that had been started and had not ended
};
struct Died {
  std::vector<Death> deaths;
};

struct HeldJob {
  Key key;
  Spec spec;
  std::uint32_t attempt = 0;
  Duration elapsed{0};  // since it was started
};
struct Held {
  std::vector<HeldJob> jobs;
};

struct JobResult {
  Handle handle;
  Key key;
  Spec spec;
  std::uint32_t attempt = 0;
  Duration waited{0};  // at the worker, from receipt to start
  Duration ran{0};
  Outcome outcome;

  // What it counts against the result window of WELCOME.
  static std::uint64_t window_bytes_of(const Outcome& outcome) { return 64 + outcome.size_bytes(); }
  std::uint64_t window_bytes() const { return window_bytes_of(outcome); }
};
struct Results {
  std::vector<JobResult> results;
};

// kNoTime: the worker will leave before the job could be over.
enum class ReturnReason : std::uint8_t { kUnstarted = 0, kStopped = 1, kNoResources = 2, kNoTime = 3 };
struct ReturnedJob {
  Handle handle;
  Key key;
  Spec spec;
  std::uint32_t attempt = 0;
  ReturnReason reason = ReturnReason::kUnstarted;
};
struct Returned {
  std::vector<ReturnedJob> jobs;
};

struct Ready {
  bool accepting = true;
};

inline constexpr std::size_t kBegunMost = 1000;  // in one BEAT
// A job that runs, and has done so for over a second.
struct BegunJob {
  Handle handle;
  Duration elapsed{0};
  friend bool operator==(const BegunJob&, const BegunJob&) = default;
};
// How far a job says that it is.
struct JobProgress {
  Handle handle;
  Progress progress;
  friend bool operator==(const JobProgress&, const JobProgress&) = default;
};
struct Beat {
  std::uint64_t echo = 0;  // stamp of the last LaneBeat; 0 = none yet
  Duration echo_held{0};   // between its receipt and this message
  // Each job is named once. Its RESULTS or RETURNED says that it has ended.
  std::vector<BegunJob> begun;
  // Since the last Beat, jobs that have ended and whose result is held back for a moment: their slots are
  // free.
  std::vector<Handle> ended{};
  std::vector<JobProgress> progress{};  // what has changed since the last Beat
};

struct Goodbye {};

using SinkMessage = std::variant<Died, Held, Results, Returned, Ready, Beat, Goodbye>;

// ---- lane (PUSH -> PULL) ----

struct JobOrder {
  Handle handle;
  std::string id;            // given; empty for a default id
  std::uint64_t repeat = 0;  // of a default id; else 0
  Key key;
  Spec spec;
  std::uint32_t attempt = 0;
  SharedBytes work;     // compact JSON, see JobLine::work
  Duration timeout{0};  // 0 = none
  std::uint32_t slots = 1;
  JobKind kind = JobKind::kCommand;
  std::uint64_t line = 0;  // of a command, in the jobs file; 0: not known

  std::string full_id() const { return repeat == 0 ? id : default_id(spec, repeat); }
};
struct Jobs {
  std::uint64_t ack = 0;       // the worker may forget sink messages 1..ack
  std::uint64_t received = 0;  // the highest sink message received
  std::vector<JobOrder> jobs;
};

struct JobRef {
  Handle handle;  // 0: by key and attempt
  Key key;
  std::uint32_t attempt = 0;
};
struct Cancel {
  std::vector<JobRef> jobs;
};
struct Recall {  // returns only what has not started
  std::vector<JobRef> jobs;
};

struct LaneBeat {
  std::uint64_t stamp = 0;  // opaque to the worker, echoed in its next Beat
  std::uint64_t ack = 0;
  std::uint64_t received = 0;
};

struct Stop {};  // the run is over
struct End {};   // this session is given up: register again at once

using LaneMessage = std::variant<Jobs, Cancel, Recall, LaneBeat, Stop, End>;

// "RESULTS", "JOBS" …: as docs/protocol.md calls it, for logs.
const char* name_of(const SinkMessage& message);
const char* name_of(const LaneMessage& message);

}  // namespace workpool
