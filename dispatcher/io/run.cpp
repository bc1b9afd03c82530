// SPDX-License-Identifier: MIT
#include "dispatcher/io/run.h"

#include <sys/random.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <system_error>

#include "common/base/address.h"
#include "common/base/text.h"
#include "common/formats/timestamp.h"
#include "common/io/clock.h"
#include "common/io/cores.h"
#include "common/io/leavable_thread.h"
#include "common/io/names.h"
#include "common/io/runs_here.h"
#include "dispatcher/io/entrance.h"
#include "dispatcher/io/loop.h"
#include "dispatcher/io/net/reachable_host.h"
#include "dispatcher/io/replay_words.h"
#include "dispatcher/io/results/job_output.h"
#include "dispatcher/io/results/journal.h"
#include "dispatcher/io/results/results_replay.h"
#include "dispatcher/io/run_input.h"
#include "dispatcher/io/signals.h"
#include "dispatcher/io/summary_file.h"
#include "dispatcher/io/terminal/status_json.h"
#include "dispatcher/io/terminal/status_line.h"
#include "dispatcher/io/terminal/summary_json.h"

namespace workpool::dispatcher {
namespace {

constexpr std::uint64_t kDescriptorsLeast = 40;
// How long the name service may take for the address to listen on, and after how long we say that we wait for
// it.
constexpr Duration kLookupLimit = seconds(15);
constexpr Duration kLookupSilence = seconds(1);
// A local worker gives up after 20 s in which nobody answers.
constexpr Duration kUnansweredMost = seconds(15);

std::string resolved_path(const std::string& path) {
  char resolved[PATH_MAX];
  return ::realpath(path.c_str(), resolved) != nullptr ? resolved : path;
}

RunId random_run() {
  RunId run;
  while (run.value == 0) {
    if (::getrandom(&run.value, sizeof run.value, 0) != static_cast<ssize_t>(sizeof run.value)) std::abort();
  }
  return run;
}

Timestamp wall_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return Timestamp(std::chrono::duration_cast<milliseconds>(now).count());
}

bool is_closed_pipe(const RunEnd& end) {
  const auto* lost = std::get_if<ResultsLost>(&end);
  return lost != nullptr && lost->error == EPIPE;
}

class Run : public std::enable_shared_from_this<Run> {
 public:
  Run(const RunOptions& options, const std::vector<std::string>& command, Console& console)
      : options_(options),
        command_(command),
        console_(console),
        summary_file_(options.summary, console),
        log_(console, log_level_named(options.log_level).value_or(LogLevel::kInfo)),
        start_(boot_time()),
        input_(options, console) {}

  ExitCode go();

 private:
  void read_results();
  std::optional<ExitCode> wait_on(const std::string& what);
  std::optional<int> signal_number() const;
  std::optional<ExitCode> signalled() const;
  void begin_results();
  void say_about_results();
  void make_terminal();
  int lock_for_local_worker();
  void start_local_worker();
  void listen();
  ExitCode run_jobs();
  ExitCode tell_end(const SummaryFacts& facts, std::vector<WorkDone> workers);
  bool write_summary(const SummaryFacts& facts, int status, std::vector<WorkDone> workers);
  RunEnd last_look(RunEnd end);
  Resolved look_up(const std::string& host, std::uint16_t port);
  DoorOptions where_to_listen();
  void banner();
  std::uint32_t local_slots() const;
  std::string status(const Scheduler& scheduler, Time now, bool all) const;
  void list_here();

  const RunOptions& options_;
  const std::vector<std::string>& command_;
  Console& console_;
  SummaryFile summary_file_;
  Log log_;
  Time start_;
  Timestamp started_ = wall_time();
  int signal_fd_ = -1;
  StopRule stop_{options_.max_fails, options_.max_fails_percent, options_.until_ok};
  RunInput input_;
  JobIndex index_;
  ReplaySummary summary_;
  Wake wake_;  // raised by the journal for as long as that lives
  std::optional<Journal> journal_;
  std::string waited_for_;
  Time waited_said_;
  std::optional<OwnLimits> limits_;
  std::optional<Entrance> entrance_;
  std::unique_ptr<Terminal> terminal_;
  RunId run_;
  AlreadyDone done_;
  std::optional<RunHereFile> here_;
  std::unique_ptr<LocalWorker> local_;  // last, because it uses the others
};

// Opens, locks and reads RESULTS; changes nothing in it.
void Run::read_results() {
  StoreOptions store;
  store.path = options_.results;
  // A pipe's path says nothing about its content: a shell's <(…) has another path each time.
  store.jobs_path = input_.regular() ? resolved_path(options_.jobs) : "-";
  store.overwrite = options_.overwrite;
  store.waiting = [this](const std::string& what) { return wait_on(what); };
  journal_.emplace(store);
  summary_ = input_.regular() ? journal_->replay(index_) : journal_->replay(index_.ids());
  index_.open_queues(options_.retry_failed);
  if (input_.regular()) done_ = already_done(index_, options_.retry_failed);
}

// Says what we wait for, at once and then every ten seconds. Returns an exit code if a signal ends the wait.
std::optional<ExitCode> Run::wait_on(const std::string& what) {
  if (what != waited_for_ || boot_time() >= waited_said_ + seconds(10)) {
    console_.line("workpool-dispatcher: " + what);
    waited_for_ = what;
    waited_said_ = boot_time();
  }
  return signalled();
}

// The number of a signal that stops the run, if one has come.
std::optional<int> Run::signal_number() const {
  signalfd_siginfo info{};
  while (signal_fd_ >= 0 && ::read(signal_fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (stops(static_cast<int>(info.ssi_signo))) return static_cast<int>(info.ssi_signo);
  }
  return std::nullopt;
}

// The exit code, if a signal has come.
std::optional<ExitCode> Run::signalled() const {
  if (const auto number = signal_number()) return stopped_by(*number);
  return std::nullopt;
}

// Cuts or empties RESULTS as needed and sets the run's id. The local worker starts meanwhile: its program
// loads while the disk syncs. Nobody answers it before the loop does, so it runs nothing if this fails.
void Run::begin_results() {
  const Time begin = boot_time();
  start_local_worker();
  run_ = journal_->begin(summary_, random_run());
  if (options_.overwrite && entrance_) entrance_->keep_keys();
  if (options_.overwrite && journal_->regular() && (!entrance_ || !entrance_->has_keys()))
    forget_run_keys(journal_->path());
  // If that took long (no space, a disk that hangs), the worker is about to give up.
  if (local_ && boot_time() >= begin + kUnansweredMost) {
    local_.reset();
    entrance_->transport().drop_registrations();  // what the first one has asked for in vain
    start_local_worker();
  }
  say_about_results();
}

void Run::say_about_results() {
  for (const std::string& line : words_for(summary_, journal_->shown_path(), options_.jobs))
    console_.line("workpool-dispatcher: " + line);
}

void Run::make_terminal() {
  TerminalOptions terminal;
  if (entrance_) terminal.results_port = entrance_->results_port();
  terminal.progress = options_.progress;
  terminal.log_level = options_.log_level;
  terminal.listening = options_.listen.has_value();
  for (const HandlerProgram& own : options_.handlers) terminal.own_handlers.push_back(own.name);
  terminal.insecure = options_.listen && options_.insecure;
  terminal.results = options_.results;
  terminal.shares_screen = options_.results == "-" && ::isatty(journal_->results_fd()) == 1;
  terminal.resumable = journal_->regular();
  terminal.command = command_;
  terminal.expected_jobs = input_.expected_jobs();
  terminal.describes = input_.regular();
  if (options_.each) terminal.flags_end = 2 + options_.flag_words;  // behind the program and `each`
  terminal.brief = options_.each || options_.output;
  terminal.prints_output = options_.output.has_value();
  terminal.overwrite_variable = std::getenv("WORKPOOL_OVERWRITE") != nullptr;
  terminal_ = std::make_unique<Terminal>(console_, terminal, start_);
}

std::uint32_t Run::local_slots() const {
  if (options_.local) return *options_.local;
  return options_.listen ? 0 : usable_cores();
}

// Says what it waits for. Throws Ended at a signal.
Resolved Run::look_up(const std::string& host, std::uint16_t port) {
  const Lookup lookup(host, port);
  const std::atomic<bool> never{false};
  const Time begin = boot_time();
  while (boot_time() < begin + kLookupLimit) {
    if (auto resolved = lookup.wait(boot_time() + milliseconds(50), never)) return *std::move(resolved);
    const bool long_silence = boot_time() >= begin + kLookupSilence;
    const auto stopped =
        long_silence ? wait_on("waiting for the name service to answer for \"" + printable(host) + "\"")
                     : signalled();
    if (stopped) throw Ended{*stopped};
  }
  return {{}, no_answer_for(host, kLookupLimit)};
}

// For workers on other machines.
DoorOptions Run::where_to_listen() {
  DoorOptions where;
  where.ports_low = options_.ports_low;
  where.ports_high = options_.ports_high;
  where.host = options_.listen->host;
  where.port = options_.listen->port;
  if (!is_literal(where.host)) {
    const Resolved resolved = look_up(where.host, where.port);
    if (resolved.hosts.empty())
      throw BindError{"cannot listen on " + options_.listen->text() + ": " + resolved.problem};
    where.host = resolved.hosts.front();
  }
  return where;
}

void Run::banner() {
  BannerFacts facts;
  facts.version = WORKPOOL_VERSION;
  facts.worker_program = options_.names.worker;
  facts.jobs = options_.each ? "each" : options_.jobs;
  facts.results = options_.results;
  if (input_.regular()) facts.total = index_.size();
  facts.before = done_.ok + done_.not_ok();
  facts.local_slots = local_slots();
  facts.insecure = options_.insecure;
  if (const auto network = entrance_->network()) {
    facts.listen = Address{options_.listen->host, network->port};
    facts.reachable = reachable_host(facts.listen->host);
    facts.join_key = entrance_->join_key();
    facts.key_file = options_.key;
    if (!facts.join_key.empty()) close_to_others(STDERR_FILENO);
  }
  terminal_->banner(facts);
}

std::string Run::status(const Scheduler& scheduler, Time now, bool all) const {
  StatusFacts facts;
  facts.version = WORKPOOL_VERSION;
  facts.run = run_;
  facts.uptime = now - start_;
  facts.jobs = options_.each ? "each" : options_.jobs;
  if (const auto network = entrance_->network()) facts.listen = network->text();
  facts.insecure = options_.insecure;
  facts.results = options_.results;
  facts.snapshot = with_expected(scheduler.snapshot(now), input_.expected_jobs());
  facts.workers = scheduler.workers(now);
  facts.limits = scheduler.held_up();
  facts.running = scheduler.running(now, all ? SIZE_MAX : kLongestShown);
  return status_json(facts, all ? kStatusBytesMost : kStatusBytes);
}

// So that `status`, and workers of this user, find the run.
void Run::list_here() {
  RunHere entry;
  entry.run = run_;
  entry.pid = static_cast<std::uint64_t>(::getpid());
  entry.address = entrance_->here();
  entry.listen = entrance_->network();
  entry.jobs = input_.regular() ? resolved_path(options_.jobs) : options_.each ? "each" : "-";
  entry.results = resolved_path(options_.results);
  if (here_) {
    here_->update(entry);
  } else {
    here_.emplace(entry);
  }
  if (!here_->problem().empty()) log_.warn("not_listed", {{"reason", here_->problem()}});
}

// A failure counts as a failed start of the local worker, which is tried again later, except for the first
// one.
int Run::lock_for_local_worker() {
  try {
    return journal_->lock_for_local_worker();
  } catch (const StoreError& error) {
    throw std::runtime_error(error.message);
  }
}

// Starts it afresh if one runs.
void Run::start_local_worker() {
  local_.reset();
  if (local_slots() == 0 || !entrance_) return;
  const LocalWorkerOptions options{local_slots(),
                                   entrance_->here().text(),
                                   options_.allow_new_privs,
                                   options_.handlers,
                                   options_.handler_jobs.value_or(0),
                                   options_.log_level == "info" ? "auto" : options_.log_level};
  local_ = std::make_unique<LocalWorker>(options, *limits_, [this] { return lock_for_local_worker(); });
}

// Called before RESULTS is changed: if we cannot listen, --overwrite must not have thrown anything away.
void Run::listen() {
  if (local_slots() > 0) require_local_worker();
  limits_.emplace(options_.core_bytes);
  if (limits_->descriptors() < kDescriptorsLeast) {  // libzmq aborts if it gets none
    throw std::system_error(EMFILE, std::generic_category(),
                            "at most " + counted(limits_->descriptors(), "file") + " may be open");
  }
  EntranceOptions entrance;
  entrance.sockets = static_cast<std::size_t>(std::clamp<std::uint64_t>(limits_->descriptors(), 64, 65535));
  entrance.worker_timeout = options_.worker_timeout;
  entrance.insecure = options_.insecure;
  entrance.keys = {options_.key, journal_->path(), options_.overwrite, options_.names};
  if (options_.listen) entrance.network = where_to_listen();
  entrance_.emplace(entrance, wake_);
  list_here();
}

ExitCode Run::run_jobs() {
  SchedulerOptions scheduling;
  scheduling.run = run_;
  scheduling.worker_timeout = options_.worker_timeout;
  scheduling.crash_limit = options_.crash_limit;
  scheduling.unsatisfiable_after = options_.patience_without_worker();
  scheduling.grace = options_.grace;
  scheduling.capture_bytes = options_.capture_bytes.value_or(scheduling.capture_bytes);
  scheduling.capture_failed_only = options_.capture_failed_only;
  scheduling.listening = options_.listen.has_value();
  scheduling.streaming = !input_.regular();
  scheduling.stop = stop_;
  scheduling.may_withdraw = input_.regular() && journal_->regular();
  Scheduler scheduler(scheduling, index_, boot_time());
  Actions none;
  scheduler.step(NamesKnown{journal_->worker_names()}, boot_time(), none);
  scheduler.step(done_, boot_time(), none);

  const auto raise = [this] { wake_.raise(); };
  std::shared_ptr<JobOutput> output;
  if (options_.output) output = std::make_shared<JobOutput>(console_, *options_.output);
  const auto skipped = [output](std::uint64_t line) {
    if (output) output->skipped(line);
  };
  const JobIntake intake(index_.ids(), journal_->regular(), options_.retry_failed);
  const std::unique_ptr<JobSource> jobs = input_.source(index_, intake, raise, skipped);
  journal_->start(options_.durability, raise, output);
  banner();
  list_here();
  Loop loop({.scheduler = scheduler,
             .entrance = *entrance_,
             .journal = *journal_,
             .terminal = *terminal_,
             .log = log_,
             .wake = wake_,
             .jobs = *jobs,
             .local = local_.get(),
             .listening = options_.listen.has_value(),
             .signal_fd = signal_fd_,
             .run = run_,
             .grace = options_.grace,
             .status = [&](Time now, bool all) { return status(scheduler, now, all); }});
  LoopEnd end = loop.run();
  if (end.at_once) journal_->give_up();
  // What was held back for its order is printed as fast as it is read, until a signal comes.
  // Not if the run leaves because nobody reads.
  const bool is_stuck = scheduler.snapshot(boot_time()).stuck_records > 0;
  while (output && !is_stuck && !end.at_once && !journal_->finish(milliseconds(100)) &&
         journal_->state().error == 0)
    end.at_once = signal_number().has_value();
  if (local_) local_->shut_down(milliseconds(1500));
  const RunEnd counts = last_look(std::move(end.end));
  const SummaryFacts facts = terminal_->sum_up(scheduler.snapshot(boot_time()), counts, boot_time());
  if (options_.output && is_closed_pipe(counts)) {
    write_summary(facts, kEndedByClosedPipe, scheduler.work_done());
    here_.reset();
    entrance_.reset();
    end_by_closed_pipe();
  }
  return tell_end(facts, scheduler.work_done());
}

// Tells people, and programs if a file for them was asked for.
ExitCode Run::tell_end(const SummaryFacts& facts, std::vector<WorkDone> workers) {
  terminal_->finish(facts, boot_time());
  const ExitCode code = exit_code_of(facts.end);
  if (write_summary(facts, exit_status(code), std::move(workers)) || code != ExitCode::kOk) return code;
  return ExitCode::kResultsFailed;
}

bool Run::write_summary(const SummaryFacts& facts, int status, std::vector<WorkDone> workers) {
  if (!summary_file_.wanted()) return true;
  const RunFacts run{WORKPOOL_VERSION,
                     run_,
                     options_.each ? "each" : options_.jobs,
                     status,
                     std::string(started_.text()),
                     std::string(wall_time().text()),
                     std::move(workers)};
  return summary_file_.write(summary_json(facts, run));
}

// A signal ends it, because the disk of JOBS or RESULTS may hang. Then its thread is left behind, with the
// run that it looks at.
RunEnd Run::last_look(RunEnd end) {
  if (!needs_last_look(end)) return end;
  const auto look = std::make_shared<std::packaged_task<LastLook()>>([this] {
    return LastLook{journal_->in_place(), !input_.changed(index_)};
  });
  LeavableThread thread;
  thread.start([run = shared_from_this(), look] { (*look)(); });
  while (!thread.ends_within(milliseconds(50))) {
    if (const auto number = signal_number()) return Stopped{stop_kind_of(*number)};
  }
  return after_last_look(std::move(end), look->get_future().get());
}

ExitCode Run::go() {
  let_signals_end_it();
  input_.index(index_, console_);
  read_results();
  signal_fd_ = block_signals();
  // If nothing is left to run, we need no worker and bind no port.
  const bool enough = options_.until_ok && done_.ok >= *options_.until_ok;
  const bool complete = input_.regular() && (index_.open() == 0 || enough);
  if (!complete) listen();
  summary_file_.begin();  // first: if it fails, --overwrite must not have thrown anything away
  begin_results();
  make_terminal();
  if (complete) {
    Snapshot snapshot;
    snapshot.total = index_.size();
    snapshot.before = done_.ok + done_.not_ok();
    snapshot.ok = done_.ok;
    snapshot.failed = done_.failed;
    snapshot.timeout = done_.timeout;
    snapshot.quarantined = done_.quarantined;
    snapshot.phase = "over";
    const RunEnd end = index_.open() == 0 ? end_of_all(stop_, done_.ok, done_.not_ok() == 0)
                                          : EnoughOk{*options_.until_ok, true};
    return tell_end(terminal_->sum_up(snapshot, end, boot_time()), {});
  }
  return run_jobs();
}

}  // namespace

ExitCode run(const RunOptions& options, const std::vector<std::string>& command, Console& console) {
  try {
    return std::make_shared<Run>(options, command, console)->go();
  } catch (const Ended& ended) {
    return ended.code;
  } catch (const StoreError& error) {
    if (!error.message.empty()) console.line("workpool-dispatcher: " + error.message);
    return error.exit_code;
  } catch (const KeyFileError& error) {
    console.line(std::string("workpool-dispatcher: ") + error.what());
    return error.code;
  } catch (const BindError& error) {
    console.line("workpool-dispatcher: " + error.message);
    return ExitCode::kSystem;
  } catch (const std::system_error& error) {
    return refused_by_system(error, console);
  } catch (const zmq::error_t& error) {
    console.line(std::string("workpool-dispatcher: cannot open a socket: ") + error.what() +
                 advice_on(error.num()));
    return ExitCode::kSystem;
  }
}

}  // namespace workpool::dispatcher
