// SPDX-License-Identifier: MIT
#include "worker/io/runner/handler_executor.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#include "common/formats/jobs_file.h"
#include "common/io/threads.h"
#include "worker/io/runner/handler_run.h"
#include "worker/io/runner/pool_seat.h"

namespace workpool::worker {
namespace {

// Quick jobs take about a microsecond, so a full batch is at most 0.3 ms late.
constexpr std::size_t kEndingsMax = 256;
constexpr Duration kWaitForHandlers = seconds(1);

// Attempts that came together; threads claim them one by one. Whoever sets `taken` of one first owns it, and
// with it the ending: a thread, or kill().
struct Batch {
  explicit Batch(std::vector<StartAttempt>&& given) : attempts(std::move(given)), taken(attempts.size()) {}

  std::size_t unclaimed() const {
    return attempts.size() - std::min(attempts.size(), next.load(std::memory_order_relaxed));
  }
  bool take(std::size_t index) { return !taken[index].exchange(true, std::memory_order_relaxed); }
  // The next attempt that nobody owns; null when there is none.
  const StartAttempt* claim() {
    while (true) {
      const std::size_t index = next.fetch_add(1, std::memory_order_relaxed);
      if (index >= attempts.size()) return nullptr;
      if (take(index)) return &attempts[index];
    }
  }

  std::vector<StartAttempt> attempts;
  std::vector<std::atomic<bool>> taken;
  std::atomic<std::size_t> next{0};
};

}  // namespace

struct HandlerExecutor::State : std::enable_shared_from_this<HandlerExecutor::State> {
  struct Thread {
    PoolSeat seat;
    WorkParser parser;
    // Found last: most jobs are of the same type as the one before.
    std::string type;
    const Handler* handler = nullptr;
    std::vector<AttemptEnded> endings;
    std::uint32_t place = 0;  // in the shared page, where it found one last
    std::thread thread;
    bool has_ended = false;  // protected by mutex
  };

  State(std::uint32_t limit, std::shared_ptr<RunServices> given,
        std::shared_ptr<const HandlerRegistry> registry)
      : services(std::move(given)), handlers(std::move(registry)), threads_max(limit) {}

  void run(Thread& self);
  std::shared_ptr<Batch> next_batch(Thread& self);
  bool run_next(Thread& self, Batch& batch);
  void run_attempt(Thread& self, const StartAttempt& attempt, AttemptEnded& ending);
  void run_work(Thread& self, const StartAttempt& attempt, Time now, Outcome& outcome);
  bool take_out(std::uint64_t token);
  void add_thread();
  void add_threads();
  void close();
  void watch_timeouts();
  void move_timeouts(Duration pause, Time now);
  void expect_timeout(Time deadline);

  const std::shared_ptr<RunServices> services;
  const std::shared_ptr<const HandlerRegistry> handlers;
  const std::uint32_t threads_max;

  std::mutex mutex;  // protects all below; taken before that of a seat
  std::condition_variable has_work;
  std::condition_variable has_changed;  // for the destructor and the watch over the timeouts
  std::deque<std::shared_ptr<Batch>> batches;
  std::vector<std::unique_ptr<Thread>> threads;
  std::uint32_t idle = 0;
  bool closing = false;
  std::thread watch;  // over the timeouts; ends with the pool, which joins it
  Time next_timeout = kNever;
};

// ---- threads of the pool ----

void HandlerExecutor::State::run(Thread& self) {
  while (const std::shared_ptr<Batch> batch = next_batch(self)) {
    while (run_next(self, *batch)) {
    }
  }
  const std::lock_guard lock(mutex);
  self.has_ended = true;
  has_changed.notify_all();
}

// Null when the pool closes.
std::shared_ptr<Batch> HandlerExecutor::State::next_batch(Thread& self) {
  std::unique_lock lock(mutex);
  while (true) {
    while (!batches.empty() && batches.front()->unclaimed() == 0) batches.pop_front();
    if (closing) return nullptr;
    if (!batches.empty()) return batches.front();
    if (!self.endings.empty()) {
      lock.unlock();
      services->deliver(self.endings);
      lock.lock();
      continue;
    }
    ++idle;
    has_work.wait(lock);
    --idle;
  }
}

// False when the batch is used up.
bool HandlerExecutor::State::run_next(Thread& self, Batch& batch) {
  const StartAttempt* attempt = nullptr;
  self.seat.sit_down([&](std::uint64_t& token) {
    attempt = batch.claim();
    if (attempt != nullptr) token = attempt->token;
    return attempt != nullptr;
  });
  if (attempt == nullptr) return false;
  if (self.endings.empty()) self.endings.reserve(std::min(kEndingsMax, batch.attempts.size()));
  AttemptEnded ending;
  run_attempt(self, *attempt, ending);
  self.endings.push_back(std::move(ending));
  if (self.endings.size() >= kEndingsMax) services->deliver(self.endings);
  return true;
}

void HandlerExecutor::State::run_attempt(Thread& self, const StartAttempt& attempt, AttemptEnded& ending) {
  ending.token = attempt.token;
  const Time started = boot_time();
  if (!services->may_start(started)) {
    self.seat.stand_up();
    ending.how = AttemptEnd::kNotStarted;
    return;
  }
  self.place = services->options.page->started(attempt.order.key, self.place);
  try {
    run_work(self, attempt, started, ending.outcome);
  } catch (const std::bad_alloc&) {  // not thrown by the handler: that would be its own failure
    ending = no_resources(attempt.token, std::generic_category().message(ENOMEM));
  }
  services->options.page->ended(self.place);
  ending.ran = boot_time() - started;
  const PoolSeat::Verdict verdict = self.seat.stand_up();
  if (verdict != PoolSeat::Verdict::kOwn) {
    if (verdict == PoolSeat::Verdict::kReported) {
      const std::lock_guard until_it_is_reported(mutex);
    }
    ending.how = AttemptEnd::kStopped;
    ending.outcome = {};
  }
}

void HandlerExecutor::State::run_work(Thread& self, const StartAttempt& attempt, Time now, Outcome& outcome) {
  const auto parsed = self.parser.parse(attempt.order.work);
  if (const auto* error = std::get_if<LineError>(&parsed)) {
    outcome = handler_failure("unusable job: " + error->message);
    return;
  }
  const auto* const work = std::get_if<HandlerWork>(&parsed);
  if (work != nullptr && work->type != self.type) {
    self.handler = handlers->find(work->type);
    self.type = work->type;
  }
  const Handler* const handler = work == nullptr ? nullptr : self.handler;
  if (handler == nullptr) {
    outcome = handler_failure("this worker has no handler \"" + (work == nullptr ? "" : work->type) + "\"");
    return;
  }
  if (!handler->is_quick()) services->deliver(self.endings);
  HandlerContext context{self.seat, std::nullopt, attempt.order, services->progress, attempt.token};
  if (attempt.order.timeout > Duration(0)) {
    context.deadline = now + attempt.order.timeout;
    self.seat.set_timeout(now, attempt.order.timeout);
    expect_timeout(*context.deadline);
  }
  run_handler(*handler, work->args, context, outcome);
}

// ---- the watch over timeouts, and over what does not stop ----

void HandlerExecutor::State::expect_timeout(Time deadline) {
  const std::lock_guard lock(mutex);
  if (deadline >= next_timeout) return;
  next_timeout = deadline;
  has_changed.notify_all();
}

// REQUIRES: mutex is held.
void HandlerExecutor::State::move_timeouts(Duration pause, Time now) {
  if (pause == Duration(0) || next_timeout == kNever) return;
  for (const auto& thread : threads) thread->seat.move_timers(pause, now);
  next_timeout += pause;
}

void HandlerExecutor::State::watch_timeouts() {
  std::vector<AttemptEnded> endings;
  std::unique_lock lock(mutex);
  Time looked = boot_time();
  while (!closing) {
    const Time now = boot_time();
    move_timeouts(pause_since(std::exchange(looked, now), now), now);
    if (next_timeout == kNever) {
      has_changed.wait(lock);
      looked = boot_time();
      continue;
    }
    if (next_timeout > now) {
      has_changed.wait_for(lock, std::min(next_timeout - now, kTick));  // so that a pause shows
      // The job may have ended long before; then there is no timer left to watch.
      const auto has_timer = [](const auto& thread) { return thread->seat.has_timer(); };
      if (std::none_of(threads.begin(), threads.end(), has_timer)) next_timeout = kNever;
      continue;
    }
    next_timeout = kNever;
    for (const auto& thread : threads) {
      PoolSeat::Overdue overdue;
      if (!thread->seat.expire(now, overdue, next_timeout)) continue;
      const AttemptEnd kind = overdue.timed_out ? AttemptEnd::kOutcome : AttemptEnd::kStopped;
      Outcome outcome = overdue.timed_out ? timed_out({}, overdue.timeout) : Outcome{};
      endings.push_back({overdue.token, kind, std::move(outcome), overdue.ran, true});
    }
    // Still under the lock: the thread of such a job takes it before its own ending, so that the slot never
    // comes back before that was reported.
    services->deliver(endings);
  }
}

// ---- the pool ----

// Throws std::system_error if the system has no room. REQUIRES: mutex is held.
void HandlerExecutor::State::add_thread() {
  auto thread = std::make_unique<Thread>();
  Thread* const self = thread.get();
  self->place = static_cast<std::uint32_t>(threads.size());
  // Not start_thread: handlers are other people's code. A signal that one raises must reach the program, and
  // a process that one starts must not inherit a mask that blocks everything.
  self->thread = std::thread([state = shared_from_this(), self] { state->run(*self); });
  threads.push_back(std::move(thread));
}

// As many as it takes for every attempt to have one, or as the system has room for. REQUIRES: mutex is held.
void HandlerExecutor::State::add_threads() {
  std::size_t unclaimed = 0;
  for (const auto& batch : batches) unclaimed += batch->unclaimed();
  // An idle thread that was woken for an attempt and has not taken it yet still counts as idle, as its
  // attempt counts as unclaimed.
  try {
    for (std::size_t ready = idle; ready < unclaimed && threads.size() < threads_max; ++ready) add_thread();
  } catch (const std::system_error&) {
    // The existing threads do all the work.
  }
}

HandlerExecutor::HandlerExecutor(std::uint32_t threads, std::shared_ptr<RunServices> services,
                                 std::shared_ptr<const HandlerRegistry> handlers)
    : state_(std::make_shared<State>(threads, std::move(services), std::move(handlers))) {
  // One at once: if there is no room for it this worker is of no use, and a run would wait for it.
  {
    const std::lock_guard lock(state_->mutex);
    state_->add_thread();
  }
  try {
    state_->watch = start_thread([state = state_.get()] { state->watch_timeouts(); });
  } catch (const std::system_error&) {
    state_->close();
    throw;
  }
}

HandlerExecutor::~HandlerExecutor() { state_->close(); }

void HandlerExecutor::State::close() {
  std::unique_lock lock(mutex);
  closing = true;
  has_work.notify_all();
  has_changed.notify_all();
  for (const auto& thread : threads) thread->seat.stop_whatever_runs();
  const auto all_ended = [&] {
    return std::all_of(threads.begin(), threads.end(), [](auto& thread) { return thread->has_ended; });
  };
  for (const Time until = boot_time() + kWaitForHandlers; !all_ended() && boot_time() < until;) {
    has_changed.wait_for(lock, until - boot_time());
  }
  std::vector<std::thread> to_join;
  for (const auto& thread : threads) {
    if (thread->has_ended) {
      to_join.push_back(std::move(thread->thread));
    } else {
      thread->thread.detach();
    }
  }
  if (watch.joinable()) to_join.push_back(std::move(watch));
  lock.unlock();
  for (std::thread& thread : to_join) thread.join();
  lock.lock();  // for ThreadSanitizer, which does not see the joins inside libstdc++
}

void HandlerExecutor::start(std::vector<StartAttempt>&& attempts) {
  if (attempts.empty()) return;
  const std::size_t count = attempts.size();
  State& state = *state_;
  const std::lock_guard lock(state.mutex);
  state.batches.push_back(std::make_shared<Batch>(std::move(attempts)));
  state.add_threads();
  if (count == 1) {
    state.has_work.notify_one();
  } else {
    state.has_work.notify_all();
  }
}

// Removes the attempt before it begins; returns whether it could.
bool HandlerExecutor::State::take_out(std::uint64_t token) {
  const std::lock_guard lock(mutex);
  for (const auto& batch : batches) {
    for (std::size_t i = batch->next; i < batch->attempts.size(); ++i) {
      if (batch->attempts[i].token == token) return batch->take(i);
    }
  }
  return false;
}

void HandlerExecutor::kill(std::uint64_t token, KillWhen when) {
  State& state = *state_;
  if (state.take_out(token)) {
    state.services->deliver_one({token, AttemptEnd::kNotStarted, {}, Duration(0)});
    return;
  }
  if (when == KillWhen::kUnlessBegun) return;
  const Time patience = boot_time() + state.services->options.kill_grace;
  const auto stop_it = [&] {
    const std::lock_guard lock(state.mutex);
    return std::any_of(state.threads.begin(), state.threads.end(),
                       [&](auto& thread) { return thread->seat.stop(token, patience); });
  };
  if (stop_it()) state.expect_timeout(patience);
}

}  // namespace workpool::worker
