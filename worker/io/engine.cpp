// SPDX-License-Identifier: MIT
#include "worker/io/engine.h"

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "common/base/exit_code.h"
#include "common/io/clock.h"
#include "common/io/mailbox.h"
#include "common/io/sockets.h"
#include "worker/core/handler_talk.h"
#include "worker/core/session.h"
#include "worker/io/engine_log.h"
#include "worker/io/first_steps.h"
#include "worker/io/net/registrar.h"
#include "worker/io/net/transport.h"
#include "worker/io/runner/runner.h"
#include "worker/io/session_words.h"

namespace workpool::worker {
namespace {

constexpr Duration kTendInterval = milliseconds(250);
constexpr Duration kProgressInterval = milliseconds(250);  // beats come every 0.2 s or less often
constexpr std::size_t kFramesATurn = 256;
constexpr int kSockets = 16;

std::optional<Duration> finite(Duration duration) {
  if (duration == Duration::max()) return std::nullopt;
  return duration;
}

SessionOptions session_options(const WorkerOptions& options, const EngineBirth& birth) {
  SessionOptions session;
  session.worker = birth.page->worker();
  session.engine = birth.engine;
  session.name = options.name;
  session.slots = options.slots;
  session.handlers = Runner::handler_types(options.handlers, options.own.handlers.get());
  session.labels = options.labels;
  session.version = WORKPOOL_VERSION;
  session.run = birth.page->last_run();
  session.orphan_grace = finite(options.orphan_grace.after_contact);
  session.first_contact = finite(options.orphan_grace.first_contact);
  session.grace = options.grace;
  session.keep = options.keep;
  session.idle = options.idle;
  session.leave_at = options.leave_at;
  return session;
}

RunnerOptions runner_options(const WorkerOptions& options, const DescriptorLimit& limit,
                             const EngineBirth& birth) {
  RunnerOptions runner;
  runner.slots = options.slots;
  runner.job_descriptors = limit.original;
  runner.job_core_bytes = options.core_bytes;
  runner.new_privs = options.allow_new_privs;
  runner.registry = options.own.handlers;
  runner.handlers = options.handlers;
  runner.handler_jobs = options.handler_jobs;
  runner.page = birth.page;
  return runner;
}

class Engine {
 public:
  Engine(const WorkerOptions& options, const DescriptorLimit& limit, const EngineBirth& birth, Log& log)
      : birth_(birth),
        log_(log),
        context_(make_context(kSockets)),
        endings_(wake_),
        answers_(wake_),
        stopped_(wake_),
        transport_(context_, options.key),
        registrar_(context_, options.dispatcher, {options.key, options.insecure}, answers_),
        runner_(
            runner_options(options, limit, birth),
            [this](std::vector<AttemptEnded>&& endings) { endings_.post_all(std::move(endings)); },
            [this](HandlerStopped&& handler) { stopped_.post(std::move(handler)); }),
        session_(session_options(options, birth)),
        where_{options.dispatcher.text(), options.slots},
        is_local_(options.local()),
        first_steps_(*birth.page) {}

  int run();

 private:
  Duration patience() const;
  void wait();
  void gather();
  void complain_of(const std::vector<int>& alive);
  void gather_control();
  void gather_answer(RegistrationAnswer&& answer);
  void gather_stopped(HandlerStopped&& handler);
  void carry_out();
  void carry_out(Action& action);
  template <class Message>
  void send(const Header& header, const Message& message, const char* type);
  void judge_first_steps();
  void say_what_was_done();

  const EngineBirth birth_;
  Log& log_;
  Wake wake_;
  zmq::context_t context_;
  Mailbox<AttemptEnded> endings_;
  Mailbox<RegistrationAnswer> answers_;
  Mailbox<HandlerStopped> stopped_;
  Transport transport_;
  Registrar registrar_;
  Runner runner_;
  Session session_;

  Time now_;
  Time tend_at_;
  Time progress_at_;
  std::string host_;      // that answered the last HELLO
  bool secured_ = false;  // with our key
  std::vector<Event> events_;
  std::vector<Event> stepping_;
  Actions actions_;
  std::optional<int> exit_code_;
  const Whereabouts where_;
  const bool is_local_;
  FirstSteps first_steps_;
};

Duration Engine::patience() const {
  Duration wait = kTendInterval;
  if (transport_.is_open()) wait = std::min(wait, tend_at_ - now_);
  if (const auto due = session_.next_deadline()) wait = std::min(wait, *due - now_);
  return std::max(wait, Duration{0});
}

void Engine::wait() {
  zmq::pollitem_t items[4] = {{nullptr, wake_.fd(), ZMQ_POLLIN, 0},
                              {nullptr, birth_.control_fd, ZMQ_POLLIN, 0},
                              {transport_.lane_handle(), 0, ZMQ_POLLIN, 0},
                              {transport_.new_sink_handle(), 0, ZMQ_POLLOUT, 0}};
  const std::size_t count = !transport_.is_open() ? 2 : transport_.is_new() ? 4 : 3;
  // Rounded up: a wait of 0 ms until a deadline that is less than a millisecond away would spin.
  const auto wait_ms = (patience() + milliseconds(1) - microseconds(1)) / milliseconds(1);
  zmq::poll(items, count, std::chrono::milliseconds(wait_ms));
}

void Engine::gather_control() {
  char bytes[16];
  const ssize_t count = ::read(birth_.control_fd, bytes, sizeof bytes);
  for (ssize_t i = 0; i < count; ++i) {
    if (bytes[i] == 'n') {
      events_.emplace_back(StopNow{});
    } else {
      events_.emplace_back(StopAsked{});
    }
  }
}

void Engine::gather_answer(RegistrationAnswer&& answer) {
  if (auto* welcome = std::get_if<Welcome>(&answer.answer)) {
    host_ = answer.host;
    secured_ = answer.secured;
    runner_.set_capture(welcome->capture_bytes, welcome->capture_failed_only);
    events_.emplace_back(Welcomed{answer.try_number, std::move(*welcome)});
  } else if (auto* refused = std::get_if<Refused>(&answer.answer)) {
    events_.emplace_back(RefusedBy{answer.try_number, std::move(*refused)});
  } else if (auto* barred = std::get_if<Barred>(&answer.answer)) {
    events_.emplace_back(
        RefusedBy{answer.try_number, {kProtocol, Refusal::kOther, std::move(barred->reason)}, true});
  } else {
    auto& unanswered = std::get<Unanswered>(answer.answer);
    events_.emplace_back(
        RegistrationFailed{answer.try_number, std::move(unanswered.reason), unanswered.not_allowed});
  }
}

void Engine::gather_stopped(HandlerStopped&& handler) {
  log_.write(LogLevel::kError, "handler_stopped", {{"type", handler.type}, {"detail", handler.why}},
             "handler " + handler.type + " is stopped on this worker, because its program failed " +
                 std::to_string(HandlerDeaths::kMost) +
                 " times in a row before any answer; the last time: " + handler.why);
  events_.emplace_back(std::move(handler));
}

void Engine::complain_of(const std::vector<int>& alive) {
  std::string pids;
  for (const int pid : alive) pids += (pids.empty() ? "" : ",") + std::to_string(pid);
  log_.warn("cannot_kill", {{"pids", pids}, {"detail", "they go on without their job"}});
}

void Engine::gather() {
  wake_.clear();
  gather_control();
  for (RegistrationAnswer& answer : answers_.take()) gather_answer(std::move(answer));
  for (HandlerStopped& handler : stopped_.take()) gather_stopped(std::move(handler));
  AttemptsEnded ended{endings_.take()};
  std::uint64_t ran = 0;
  std::uint64_t not_ok = 0;
  for (const AttemptEnded& ending : ended.attempts) {
    if (ending.how == AttemptEnd::kOutcome) {
      ++ran;
      not_ok += ending.outcome.status == Status::kOk ? 0 : 1;
    }
    if (!ending.alive.empty()) complain_of(ending.alive);
    if (ending.how == AttemptEnd::kNoResources) {
      first_steps_.lacked_resources(ending.outcome.message, now_);
    } else if (ending.how != AttemptEnd::kNotStarted) {
      first_steps_.job_ran();
    }
  }
  if (ran > 0) birth_.page->note_ran(ran, not_ok);
  if (!ended.attempts.empty()) events_.emplace_back(std::move(ended));
  // It goes out with the next beat, so nothing is woken for it.
  if (now_ >= progress_at_) {
    if (JobsProgressed said{runner_.take_progress()}; !said.jobs.empty())
      events_.emplace_back(std::move(said));
    progress_at_ = now_ + kProgressInterval;
  }
  const std::size_t before = events_.size();
  transport_.receive(kFramesATurn, events_);
  if (events_.size() > before && !std::holds_alternative<SinkGone>(events_[before]))
    first_steps_.heard_dispatcher();
  if (transport_.is_open() && (now_ >= tend_at_ || transport_.is_new())) {
    if (!transport_.tend(now_)) events_.emplace_back(SinkGone{transport_.session()});
    tend_at_ = now_ + kTendInterval;
  }
}

template <class Message>
void Engine::send(const Header& header, const Message& message, const char* type) {
  if (header.session != transport_.session()) return;
  log_sent(log_, type, header);
  if (!transport_.send(header, message)) events_.emplace_back(SinkGone{header.session});
}

void Engine::carry_out(Action& action) {
  struct Visitor {
    Engine& self;
    void operator()(Register& a) { self.registrar_.register_with(a.hello); }
    void operator()(OpenSession& a) {
      self.birth_.page->note_run(a.welcome.run);
      self.birth_.page->note_worker_timeout(a.welcome.worker_timeout);
      if (!self.transport_.open(self.host_, self.secured_, a.welcome, self.now_))
        self.events_.emplace_back(SinkGone{a.welcome.session});
      self.tend_at_ = self.now_;
    }
    void operator()(CloseSession&) { self.transport_.close(); }
    void operator()(SendSink& a) { self.send(a.header, a.message, workpool::name_of(a.message)); }
    void operator()(SendResults& a) { self.send(a.header, *a.results, "RESULTS"); }
    void operator()(StartAttempts& a) {
      log_started(self.log_, a);
      self.runner_.start(std::move(a.attempts));
    }
    void operator()(KillAttempt& a) {
      self.runner_.kill(a.token, a.kind, a.now ? KillWhen::kAtOnce : KillWhen::kGently);
    }
    void operator()(UnstartAttempt& a) { self.runner_.kill(a.token, a.kind, KillWhen::kUnlessBegun); }
    void operator()(SetLease& a) { self.runner_.set_lease(a.until); }
    void operator()(ForgetDeaths& a) { self.birth_.page->deaths_acked(a.up_to_engine); }
    void operator()(Say& a) {
      const SessionWords words = words_for(a, self.where_);
      if (words.level == LogLevel::kWarn) self.first_steps_.not_reached(words.text);
      self.log_.write(words.level, words.event, {{"detail", words.text}}, words.spoken);
    }
    void operator()(Exit& a) {
      if (!self.exit_code_) self.exit_code_ = a.code;
    }
  };
  std::visit(Visitor{*this}, action);
}

void Engine::carry_out() {
  for (Action& action : actions_) carry_out(action);
  actions_.clear();
}

// A local worker that can never work must not leave its run waiting.
void Engine::judge_first_steps() {
  if (!is_local_ || exit_code_) return;
  const auto verdict = first_steps_.verdict(now_);
  if (!verdict) return;
  log_.error("cannot_work_here", {{"detail", *verdict}});
  exit_code_ = exit_status(ExitCode::kSystem);
}

// Of all engines of this worker.
void Engine::say_what_was_done() {
  const Work work = birth_.page->work();
  const Duration time = boot_time() - birth_.page->made_at();
  log_.write(LogLevel::kInfo, "ran", {{"jobs", work.jobs}, {"not_ok", work.not_ok}, {"time", time}},
             work_text(work.jobs, work.not_ok, time));
}

int Engine::run() {
  now_ = boot_time();
  if (auto deaths = birth_.page->deaths(); !deaths.empty())
    session_.step(DeathsKnown{std::move(deaths)}, now_, actions_);
  session_.step(Started{}, now_, actions_);
  carry_out();
  while (!exit_code_) {
    if (events_.empty()) wait();
    now_ = std::max(now_, boot_time());
    gather();
    // carry_out() may add events (the sink has gone), so the events under way stand in a second vector. The
    // two swap roles, so neither is allocated again.
    stepping_.swap(events_);
    for (Event& event : stepping_) {
      log_event(log_, event);
      session_.step(std::move(event), now_, actions_);
    }
    stepping_.clear();
    session_.step(Drained{}, now_, actions_);
    carry_out();
    judge_first_steps();
  }
  if (*exit_code_ != kExitRestart) say_what_was_done();
  return *exit_code_;
}

// On a thread that lives on: processes that it starts would else be taken for what a command has left, as the
// kernel gives them to the engine's main thread when theirs ends. Throws what `function` throws.
void run_at_start(const std::function<void()>& function) {
  auto done = std::make_shared<std::promise<void>>();
  std::future<void> is_done = done->get_future();
  std::thread([done, &function] {
    try {
      function();
      done->set_value();
    } catch (...) {
      done->set_exception(std::current_exception());
    }
    while (true) ::pause();
  }).detach();
  is_done.get();
}

// Whether this engine may go on; says why if not.
bool start_own_code(const OwnCode& own, Log& log) {
  if (!own.at_start) return true;
  std::string why = "it threw something that is no std::exception";
  try {
    run_at_start(own.at_start);
    return true;
  } catch (const std::exception& error) {
    why = error.what();
  } catch (...) {
  }
  log.write(LogLevel::kError, "start_failed", {{"detail", why}},
            "what this program does before its first job has failed: " + why);
  return false;
}

}  // namespace

int run_engine(const WorkerOptions& options, const DescriptorLimit& limit, const EngineBirth& birth,
               Log& log) {
  if (!start_own_code(options.own, log)) return exit_status(ExitCode::kSystem);
  // Never destroyed, because the process ends: to join threads and to close sockets one by one only takes
  // time.
  auto* const engine = new Engine(options, limit, birth, log);
  const int code = engine->run();
  kill_everything_now(*birth.page);
  return code;
}

}  // namespace workpool::worker
