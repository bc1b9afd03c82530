// SPDX-License-Identifier: MIT
// The events that the scheduler gets and the actions that it decides on, as values. The loop
// (dispatcher/io/loop) and the simulator make the events and carry out the actions, in order: record, then
// send, then report.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/job.h"
#include "common/base/shared_bytes.h"
#include "common/base/time.h"
#include "common/wire/messages.h"
#include "dispatcher/core/causes.h"
#include "dispatcher/core/job_facts.h"
#include "dispatcher/core/key_id.h"
#include "dispatcher/core/run_end.h"
#include "dispatcher/core/stop_rule.h"

namespace workpool::dispatcher {

struct SchedulerOptions {
  RunId run;
  Duration worker_timeout = seconds(10);  // a silence of this length ends a session
  std::uint32_t crash_limit = 3;          // deaths with a job until it runs alone
  Duration unsatisfiable_after = seconds(60);
  Duration grace = seconds(30);  // from a first SIGTERM to what a second would do
  std::uint64_t capture_bytes = 64 * 1024;
  bool capture_failed_only = false;
  bool listening = false;       // other workers may come at any time
  bool streaming = false;       // jobs arrive one by one until InputEnded; else all are in the index
  std::size_t jobs_most = 256;  // in one JOBS
  StopRule stop;
  // A failure that is on record can be withdrawn: a later line for the job replaces it in RESULTS, and the
  // job can be read again.
  bool may_withdraw = false;
};

// A name means one worker for the whole run, also over restarts of the dispatcher.
struct GrantedName {
  WorkerId worker;
  std::string name;
  std::string key{};  // the fingerprint of its key, since numbers of keys do not outlive a start; empty: none
};

// ---- events ----

// A reply is owed to `peer` (an opaque address on the registration socket). `fresh` is a new random session
// id.
struct HelloReceived {
  std::string peer;
  Hello hello;
  SessionId fresh;
  KeyId key{};                // of the peer
  std::string fingerprint{};  // of that key; empty if there is none
};
// The lane of an admitted session is bound. If it could not be, the session is dropped, and the worker is
// told to come later.
struct LaneBound {
  SessionId session;
  bool bound = true;
};
struct SinkReceived {
  Header header;
  SinkMessage message;
  KeyId key{};  // of the peer that sent it, whatever the header says
};
// A part of a longer message arrived: a sign of life.
struct PartReceived {
  SessionId session;
  KeyId key{};
};
// These keys are not valid any more: revoked, or expired. The sessions of their workers end.
struct KeysRevoked {
  std::vector<KeyId> keys;
};
// Checked every 250 ms, or 5 ms while a session is new; reported only on a change.
struct LaneWritable {
  SessionId session;
};
struct LaneGone {
  SessionId session;
};
// Answers to Load, in the order of the Loads.
struct JobsLoaded {
  std::vector<LoadedJob> jobs;
};
// A job that came with its payload, which its source does not keep. No open job has its id.
struct JobArrived {
  LoadedJob job;  // its JobFacts::requirement is still to be numbered
  Requirement requirement;
};
// Jobs of this run that an earlier start has finished; they count as done.
struct AlreadyDone {
  std::uint64_t ok = 0;
  std::uint64_t failed = 0;
  std::uint64_t timeout = 0;
  std::uint64_t quarantined = 0;
  std::uint64_t invalid = 0;  // lines of a stream
  std::uint64_t not_ok() const { return failed + timeout + quarantined + invalid; }
};
// Names that an earlier start of this run has granted. Comes first.
struct NamesKnown {
  std::vector<GrantedName> names;
};
// No more jobs arrive.
struct InputEnded {};
// The input can be read no further. Nothing more is given out; what runs is finished.
struct InputBroken {
  std::string problem;  // a sentence for people
};
// Nothing more is given out; what runs is finished.
struct JobsFileChanged {
  std::uint64_t line = 0;
};
// The local worker cannot work here. If no other worker may come, nothing more can run.
struct LocalWorkerFailed {
  std::string problem;  // what it said
};
// A line of a stream that is not a job: recorded as `invalid`.
struct InvalidLine {
  JobFacts facts;  // number, line, id; as the spec the digest of its text
  std::string message;
};
// How far the journal is with what Persist has given to it. While it is blocked nothing new is given out;
// after an error no more will ever be written.
struct JournalState {
  std::uint64_t durable = 0;  // entries 1..durable outlast a crash of the dispatcher
  bool blocked = false;       // it takes its entries too slowly, or there is no space
  bool no_space = false;      // the reason is ENOSPC or EDQUOT
  int error = 0;              // errno of a final error, 0 while there is none
  bool operator==(const JournalState&) const = default;
};
struct StopRequested {
  StopKind kind = StopKind::kInterrupt;
};
// The sockets have been drained: judge who is late, and hand out work.
struct Drained {
  bool whole = true;  // false: the sink has more, so nobody can be judged silent yet
};

using Event =
    std::variant<HelloReceived, LaneBound, SinkReceived, PartReceived, KeysRevoked, LaneWritable, LaneGone,
                 JobsLoaded, JobArrived, AlreadyDone, NamesKnown, InputEnded, InputBroken, JobsFileChanged,
                 LocalWorkerFailed, InvalidLine, JournalState, StopRequested, Drained>;

// ---- actions ----

// A job is done for good: a line in RESULTS.
struct Record {
  JobFacts facts;
  std::uint32_t attempt = 0;
  Outcome outcome;
  std::string worker;
  Duration queued{0};
  Duration ran{0};
};
using JournalEntry = std::variant<Record, GrantedName>;
// Give these to the journal: everything that one step wants to keep. Entries are numbered from 1 in the order
// of these actions and in them, and JournalState says how far they are durable: acks of results and the first
// jobs of a worker with a new name wait for that.
struct Persist {
  std::vector<JournalEntry> entries;
};
// Read these jobs' lines and answer with JobsLoaded, in this order.
struct Load {
  std::vector<JobNumber> jobs;
};
// Bind a lane for the session, then answer with WELCOME; answer with LaneBound.
struct Admit {
  std::string peer;
  Welcome welcome;  // the loop fills in its ports
  std::uint32_t slots = 0;
  KeyId key{};  // whoever has another one must not connect to the lane
};
struct Refuse {
  std::string peer;
  RefusalCause cause;
};
struct SendLane {
  SessionId session;
  LaneMessage message;
};
// Close the lane. With `say_end` it stays until the worker has left it, at most 2 s, so that END gets out.
struct CloseSession {
  SessionId session;
  bool say_end = false;
};

// ---- reports: for terminal and log, never for correctness ----

struct WorkerJoined {
  std::string name;
  std::uint32_t slots = 0;
  bool back = false;  // a worker that was here before
};
struct WorkerLeft {
  std::string name;
  LeaveCause cause;
  std::uint64_t requeued = 0;  // jobs that go to others
  bool lost = false;           // not by its own decision
  bool known = true;           // it has joined before, or has done something, so its loss is worth a line
};
// It has registered, but one of the other connections that it needs does not come. Reported once, until both
// have come.
struct WorkerOutOfReach {
  std::string name;
  bool for_results = false;  // the connection for results; else the one for jobs
};
struct JobEnded {  // for good and not ok: one for each such Record, behind it
  std::string id;
  std::string name;  // the values of `each` that made it, for people; empty if there are none
  JobNumber number = 0;
  std::uint64_t line = 0;
  SharedBytes work;  // if its source does not keep it
  Status status = Status::kOk;
  ErrorKind kind = ErrorKind::kNone;
  std::string message;
  std::string last_line;  // of stderr, of a command that failed
  std::uint32_t attempt = 0;
  std::string worker;
};
struct JobRetried {
  std::string id;
  std::uint32_t attempt = 0;
  std::string message;
  Duration delay{0};
  Duration ran{0};
  std::uint32_t slots = 1;
};
// It failed on a worker in a way that may be the worker's fault, and goes to another one at once.
struct JobMoved {
  std::string id;
  std::uint32_t attempt = 0;
  std::string message;
  std::string worker;
  Duration ran{0};
  std::uint32_t slots = 1;
};
// These are no results any more: the jobs run again, and what comes of that counts. Each has been reported.
struct FailuresWithdrawn {
  std::string worker;
  std::vector<JobEnded> failures;
};
// Everything that a worker begins fails at once, and others do not fail: it gets nothing but a probe now and
// then.
struct WorkerBenched {
  std::string name;
  std::uint64_t failed = 0;  // so many of its jobs in a row
  std::string message;       // of the last of them
  std::uint64_t elsewhere_failed = 0;
  std::uint64_t elsewhere_ended = 0;  // meanwhile, with the same requirement
  std::uint64_t withdrawn = 0;        // of its failures, which run again
  Duration probed_in{0};
};
// It gets jobs again.
enum class BackBecause : std::uint8_t { kProbeOk, kNeeded, kNothingLeft };
struct WorkerUnbenched {
  std::string name;
  BackBecause why = BackBecause::kProbeOk;
};
struct JobUnsatisfiable {  // no registered worker can run it
  Requirement requirement;
  std::uint64_t jobs = 0;
  bool given_up = false;  // the run ends without it
};
struct EngineDied {
  std::string name;
  std::string cause;
  std::vector<std::string> ran;  // ids of the jobs named
};
// A worker says something that cannot be true. It does not count, and the session ends.
enum class Untruth : std::uint8_t {
  kForeignType,  // a result of a job whose type it does not serve
  kRanTooLong,   // an attempt that took longer than since it was given
  kHoldsTooMuch  // more jobs run there than it can have been given
};
struct WorkerUntrue {
  std::string name;
  Untruth what = Untruth::kForeignType;
  std::string id;  // of the job; empty if it is about no single one
};
// A peer speaks for a session of another key. That does not count. Reported once for each key of such peers.
struct SpokeForAnother {
  std::string name;  // of the worker whose session it is
  KeyId key;         // of the peer
};
// JOBS was changed during the run.
struct JobsFileRefused {
  std::uint64_t line = 0;
};
// Jobs are left, but nothing new starts.
struct RunStops {
  RunEnd why;
};
struct NoPortForWorker {  // which tries on; reported once in a while
  std::string name;
};
struct ReturnsEverything {  // gives back each job that it gets
  std::string name;
  bool no_time = false;  // because it leaves before they would be over
};
struct OverItsTimeout {  // runs far beyond it, and the worker does not end it
  std::string id;
  std::string worker;
  Duration ran{0};
  Duration timeout{0};
};
struct JobsTakenAway {  // since the worker does not start them
  std::string worker;
  std::uint64_t jobs = 0;
  std::string id;    // of one of them
  Duration held{0};  // how long the worker has had that one
};
using Report = std::variant<WorkerJoined, WorkerLeft, WorkerOutOfReach, JobEnded, JobRetried,
                            JobUnsatisfiable, EngineDied, WorkerUntrue, SpokeForAnother, JobsFileRefused,
                            NoPortForWorker, ReturnsEverything, OverItsTimeout, JobsTakenAway, JobMoved,
                            FailuresWithdrawn, WorkerBenched, WorkerUnbenched, RunStops>;

// Everything is over: close the sockets and leave.
struct Finish {
  RunEnd end;
};
// The run is over: registration answers `complete`; workers are being told. Nothing more is given out; a
// result that still comes is recorded.
struct RunOver {
  RunEnd end;
};

using Action = std::variant<Persist, Load, Admit, Refuse, SendLane, CloseSession, Report, RunOver, Finish>;
using Actions = std::vector<Action>;

// ---- what a status line, a status reply and a summary show ----

struct WorkerView {
  std::string name;
  std::uint32_t slots = 0;
  std::uint32_t busy = 0;  // slots of jobs held, at most `slots`
  std::uint64_t held = 0;  // jobs given and not finished
  std::uint64_t done = 0;
  bool accepting = true;
  bool suspect = false;
};

// The jobs that run, as far as the dispatcher knows: a worker starts its jobs in the order in which it got
// them.
struct RunningJobs {
  struct Longest {
    std::string id;
    std::string name;        // as in JobEnded
    std::uint64_t line = 0;  // 0 if it has not been read yet
    std::string worker;
    Duration ran{0};  // since it began, or else since it was given
  };
  std::optional<Longest> longest;
  Duration shortest_ran{0};  // of the job that was started last
};

// A job that has run for over a second.
struct RunningView {
  std::string id;
  std::string name;  // as in JobEnded
  std::uint64_t line = 0;
  std::string worker;
  Duration ran{0};
  std::uint32_t attempt = 0;
  std::uint32_t slots = 1;
  Boxed<Progress> progress{};
};
struct RunningList {
  std::uint64_t jobs = 0;  // all of them
  std::vector<RunningView> longest;
};

// A limit that holds up jobs.
struct HeldUp {
  std::string key;  // empty: that of all jobs (`--rate`)
  LimitRule rule;
  std::uint32_t held = 0;  // of its jobs, by workers
  std::uint64_t jobs = 0;  // that wait for it
};

// What a run waits for while nothing moves; the terminal words it.
struct Nothing {};
struct DiskSpace {};    // for RESULTS
struct SlowResults {};  // RESULTS takes no more at present
struct FreePort {};     // for the lane of another worker
struct AnyWorker {};    // no worker is connected
struct FittingWorker {  // no connected worker can run the remaining jobs
  Requirement requirement;
};
struct BackoffOver {
  std::uint64_t jobs = 0;
};
struct LimitOpen {
  HeldUp limit;  // that holds up most jobs
};
struct EarlierWorkers {  // they may still run jobs of limits
  Duration at_most{0};
};
using WaitingFor = std::variant<Nothing, DiskSpace, SlowResults, FreePort, AnyWorker, FittingWorker,
                                BackoffOver, LimitOpen, EarlierWorkers>;

struct Snapshot {
  std::uint64_t total = 0;  // of the jobs file; of jobs that arrive: so far
  bool total_known = true;
  std::uint64_t before = 0;  // of those, finished in an earlier start (counted in the next six too)
  std::uint64_t ok = 0;
  std::uint64_t failed = 0;
  std::uint64_t timeout = 0;
  std::uint64_t quarantined = 0;
  std::uint64_t invalid = 0;
  std::uint64_t running = 0;        // held by workers and believed to be running
  std::uint64_t held = 0;           // held by workers
  std::uint64_t delayed = 0;        // in a backoff
  std::uint64_t held_up = 0;        // by limits
  std::uint64_t retried = 0;        // attempts that failed and were given again
  std::uint64_t redelivered = 0;    // attempts lost with a worker
  std::uint64_t duplicates = 0;     // results that came twice
  std::uint64_t cut_outputs = 0;    // jobs of whose output a part was not kept
  std::uint64_t stuck_records = 0;  // not written yet, while the writer is held up
  std::uint32_t workers = 0;
  std::uint32_t slots = 0;
  WaitingFor waiting_for;  // why nothing moves; Nothing if something does
  std::string phase;       // "running", "draining", "cancelling", "finishing", "over"

  std::uint64_t done() const { return ok + failed + timeout + quarantined + invalid; }
};

}  // namespace workpool::dispatcher
