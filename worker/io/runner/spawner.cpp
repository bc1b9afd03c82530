// SPDX-License-Identifier: MIT
#include "worker/io/runner/spawner.h"

#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "common/base/check.h"
#include "worker/io/runner/command_outcome.h"

namespace workpool::worker {
namespace {

constexpr int kEventsMax = 64;
// Spawns before pipes and timers of the others have their turn: some 3 ms.
constexpr int kStartsInARow = 8;
constexpr std::size_t kReadBytes = 64 * 1024;
constexpr Duration kReadToTheEnd = seconds(1);
// What is killed goes within microseconds, mostly; what ignores TERM is looked at less and less often.
constexpr Duration kFirstPause = microseconds(500);
constexpr Duration kLongestPause = milliseconds(20);
constexpr Duration kUnkillable = seconds(5);  // after KILL, of what is stuck in the kernel
constexpr Duration kLongestInGrace = milliseconds(100);
// Adopted processes that died while their job goes on wait that long to be reaped.
constexpr Duration kSweepEvery = seconds(1);
constexpr Duration kSweepSoon = milliseconds(20);

// An event's tag: the number of the run, and which of its channels.
constexpr std::uint64_t kWakeUp = ~std::uint64_t{0};
constexpr std::uint64_t tag_of(std::uint32_t number) { return std::uint64_t{number} << 2; }
static_assert(Command::kChannels == 4);

void block_signals() {
  sigset_t all;
  ::sigfillset(&all);
  for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP}) ::sigdelset(&all, fault);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

Spawner::Spawner(RunServices& services)
    : services_(services),
      starter_(services),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_up_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      buffer_(kReadBytes, '\0') {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kWakeUp;
  if (!epoll_.is_open() || !wake_up_.is_open() ||
      ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wake_up_.get(), &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll of a spawner");
  }
  thread_ = std::thread([this] { loop(); });
}

Spawner::~Spawner() {
  {
    const std::lock_guard lock(mutex_);
    closing_ = true;
  }
  ::eventfd_write(wake_up_.get(), 1);
  thread_.join();
  // The join happens inside libstdc++, where ThreadSanitizer does not look; the mutex tells it the same.
  const std::lock_guard lock(mutex_);
}

void Spawner::start(StartAttempt&& order) {
  load_.fetch_add(1, std::memory_order_relaxed);
  services_.commands.fetch_add(1);
  const std::lock_guard lock(mutex_);
  if (messages_.empty()) ::eventfd_write(wake_up_.get(), 1);
  messages_.push_back({false, false, order.token, std::move(order)});
}

void Spawner::kill(std::uint64_t token, bool now) {
  const std::lock_guard lock(mutex_);
  if (messages_.empty()) ::eventfd_write(wake_up_.get(), 1);
  messages_.push_back({true, now, token, {}});
}

void Spawner::loop() {
  block_signals();
  epoll_event events[kEventsMax];
  while (true) {
    const int count = ::epoll_wait(epoll_.get(), events, kEventsMax, wait_ms(boot_time()));
    CHECK(count >= 0 || errno == EINTR);
    const Time now = boot_time();
    for (int i = 0; i < count; ++i) handle_event(events[i].data.u64, now);
    take_messages();
    start_pending();
    fire_timers(now);
    sweep(now);
    services_.deliver(endings_);
    const std::lock_guard lock(mutex_);
    if (closing_ && runs_.empty() && messages_.empty()) return;
  }
}

int Spawner::wait_ms(Time now) const {
  if (!pending_.empty()) return 0;
  const Time next = std::min(next_wake_, next_sweep_);
  if (next == kNever) return -1;
  if (next <= now) return 0;
  // Rounded up, else the last millisecond is spent spinning; epoll's limit is 24 days.
  const auto wait = std::chrono::ceil<milliseconds>(next - now).count();
  return static_cast<int>(std::min<std::int64_t>(wait, 24 * 3600 * 1000));
}

void Spawner::take_messages() {
  std::vector<Message> messages;
  bool closing = false;
  {
    const std::lock_guard lock(mutex_);
    messages.swap(messages_);
    closing = closing_;
  }
  const Time now = boot_time();
  for (Message& message : messages) {
    if (message.is_kill) {
      begin_kill(message.token, message.now, now);
    } else {
      pending_.push_back(std::move(message.order));
    }
  }
  if (!closing || told_to_end_) return;
  told_to_end_ = true;
  pending_.clear();
  for (auto& [number, run] : runs_) end_early(run, Reason::kStopped, now, now);
}

void Spawner::handle_event(std::uint64_t tag, Time now) {
  if (tag == kWakeUp) {
    eventfd_t ignored = 0;
    ::eventfd_read(wake_up_.get(), &ignored);
    return;
  }
  const auto number = static_cast<std::uint32_t>(tag >> 2);
  const auto found = runs_.find(number);
  if (found == runs_.end()) return;  // it ended by another event of this round
  Run& run = found->second;
  switch (static_cast<Command::Channel>(tag & 3)) {
    case Command::kProcess:
      break;
    case Command::kInput:
      run.command->feed();
      return;
    case Command::kOutput:
      run.command->drain_output(buffer_);
      break;
    case Command::kErrors:
      run.command->drain_errors(buffer_);
      break;
  }
  // Output says nothing of the end but for the last of it, which the ending waits for.
  const bool was_last = run.command->has_exited() && !run.command->has_open_pipes();
  if ((tag & 3) != Command::kProcess && !was_last) return;
  if (settle(run, now)) finish(number);
}

void Spawner::start_pending() {
  for (int i = 0; i < kStartsInARow && !pending_.empty(); ++i) {
    StartAttempt order = std::move(pending_.front());
    pending_.pop_front();
    begin(std::move(order));
  }
}

void Spawner::begin(StartAttempt&& order) {
  const Time now = boot_time();
  if (!services_.may_start(now)) {
    push({order.token, AttemptEnd::kNotStarted, {}, Duration(0), false});
    return;
  }
  const std::uint32_t place = services_.options.page->started(order.order.key, last_place_);
  last_place_ = place;
  services_.starts.add(now);
  CommandStart started = starter_.start(order);
  if (auto* const command = std::get_if<std::unique_ptr<Command>>(&started)) {
    const std::uint32_t number = next_number_++;
    Run& run = runs_[number];
    run.token = order.token;
    run.timeout = order.order.timeout;
    run.command = std::move(*command);
    run.place = place;
    run.started = now;
    if (order.order.timeout > Duration(0)) {
      run.deadline = run.wake = now + order.order.timeout;
      next_wake_ = std::min(next_wake_, run.wake);
    }
    if (next_sweep_ == kNever) next_sweep_ = now + kSweepEvery;
    run.command->feed();  // most inputs fit the pipe at once
    run.command->watch(epoll_.get(), tag_of(number));
    return;
  }
  services_.starts.remove(now);
  services_.options.page->ended(place);
  if (auto* const failure = std::get_if<CannotStart>(&started)) {
    push({order.token, AttemptEnd::kOutcome, std::move(failure->outcome), boot_time() - now, false});
  } else {
    Outcome none;
    none.message = std::generic_category().message(std::get<NoResources>(started).error);
    push({order.token, AttemptEnd::kNoResources, std::move(none), Duration(0), false});
  }
}

void Spawner::begin_kill(std::uint64_t token, bool kill_at_once, Time now) {
  const auto waiting =
      std::find_if(pending_.begin(), pending_.end(), [&](auto& order) { return order.token == token; });
  if (waiting != pending_.end()) {
    pending_.erase(waiting);
    push({token, AttemptEnd::kNotStarted, {}, Duration(0), false});
    return;
  }
  for (auto& [number, run] : runs_) {
    if (run.token != token) continue;
    end_early(run, Reason::kStopped, kill_at_once ? now : now + services_.options.kill_grace, now);
    return;
  }
}

// Sends TERM now and KILL at `kill_at`. What is being ended already, or has ended, is only hurried.
void Spawner::end_early(Run& run, Reason reason, Time kill_at, Time now) {
  if (run.reason == Reason::kByItself && !run.command->reap()) {
    run.reason = reason;
    run.deadline = kNever;
    if (kill_at > now) terminate(services_.tree.members(run.command->processes()));
  }
  run.kill_at = std::min(run.kill_at, kill_at);
  run.pause = Duration(0);
  run.wake = now;
  next_wake_ = std::min(next_wake_, now);
}

void Spawner::fire_timers(Time now) {
  if (next_wake_ > now) return;
  next_wake_ = kNever;
  std::vector<std::uint32_t> finished;
  for (auto& [number, run] : runs_) {
    if (run.wake <= now) {
      if (run.deadline <= now) end_early(run, Reason::kTimeout, now + services_.options.kill_grace, now);
      if (settle(run, now)) finished.push_back(number);
    }
    next_wake_ = std::min(next_wake_, run.wake);
  }
  for (const std::uint32_t number : finished) finish(number);
}

void Spawner::read_pipes(Run& run) {
  run.command->drain_output(buffer_);
  run.command->drain_errors(buffer_);
}

// Takes the run as far as it goes now; true when it is over. Else `wake` tells when to look again.
bool Spawner::settle(Run& run, Time now) {
  if (run.command->reap() && run.ended == kNever) {
    run.ended = now;
    run.deadline = run.wake = kNever;
    read_pipes(run);
  }
  return run.reason == Reason::kByItself ? settle_ended_by_itself(run, now) : settle_ended_early(run, now);
}

bool Spawner::settle_ended_by_itself(Run& run, Time now) {
  if (!run.command->has_exited()) return false;
  const bool hurried = run.kill_at <= now;
  if (run.command->has_open_pipes() && !hurried && now < run.ended + kReadToTheEnd) {
    run.wake = run.ended + kReadToTheEnd;
    next_wake_ = std::min(next_wake_, run.wake);
    return false;
  }
  if (!kill_left(run, now)) return false;
  read_pipes(run);
  return true;
}

bool Spawner::settle_ended_early(Run& run, Time now) {
  if (run.kill_at > now && !services_.tree.members(run.command->processes()).empty()) {
    look_again(run, now);
    return false;
  }
  return kill_left(run, now) && settle_pipes(run, now);
}

// True when nothing is left of the job but what cannot be killed.
bool Spawner::kill_left(Run& run, Time now) {
  std::vector<pid_t> left = services_.tree.members(run.command->processes());
  if (left.empty()) return true;
  if (run.killed == kNever) run.killed = now;
  const std::size_t not_ours = kill_now(left);
  if (not_ours == left.size() || now >= run.killed + kUnkillable) {
    run.alive = std::move(left);
    return true;
  }
  look_again(run, now);
  return false;
}

// All its processes are gone, and with them the writers of its pipes, unless one of them hid from us.
bool Spawner::settle_pipes(Run& run, Time now) {
  read_pipes(run);
  if (!run.command->has_open_pipes()) return true;
  if (run.read_until == kNever) run.read_until = now + kReadToTheEnd;
  if (now >= run.read_until) return true;
  look_again(run, now);
  return false;
}

void Spawner::look_again(Run& run, Time now) {
  const bool in_grace = run.kill_at != kNever && run.kill_at > now;
  run.pause = run.pause == Duration(0) ? kFirstPause
                                       : std::min(run.pause * 2, in_grace ? kLongestInGrace : kLongestPause);
  run.wake = now + run.pause;
  if (in_grace) {
    // While the job's own process lives nothing can be over, and its end is an event.
    run.wake = run.command->has_exited() ? std::min(run.wake, run.kill_at) : run.kill_at;
  }
  next_wake_ = std::min(next_wake_, run.wake);
}

void Spawner::finish(std::uint32_t number) {
  Run& run = runs_.at(number);
  AttemptEnded ending;
  ending.token = run.token;
  ending.ran = (run.ended == kNever ? boot_time() : run.ended) - run.started;
  ending.alive = std::move(run.alive);
  switch (run.reason) {
    case Reason::kByItself:
      ending.outcome = run.command->take_outcome();
      if (may_be_of_a_stop(run.command->ended_by_signal())) ending.how = AttemptEnd::kDoubtful;
      break;
    case Reason::kTimeout:
      ending.outcome = timed_out(run.command->take_outcome(), run.timeout);
      break;
    case Reason::kStopped:
      ending.how = AttemptEnd::kStopped;
      break;
  }
  services_.options.page->ended(run.place);
  services_.starts.remove(run.started);
  if (!run.command->has_exited()) {
    run.command->abandon();
    abandoned_.push_back(std::move(run.command));
  }
  runs_.erase(number);
  push(std::move(ending));
}

void Spawner::push(AttemptEnded&& ending) {
  endings_.push_back(std::move(ending));
  if (auto next = services_.queue.leave()) {
    pending_.push_back(std::move(*next));  // in the place of the one that has ended: the counts stay
    return;
  }
  load_.fetch_sub(1, std::memory_order_relaxed);
  services_.commands.fetch_sub(1);
}

// Adopted processes: the dead are reaped; what could not be told to belong to a job goes once no command runs
// that is older. What does not go when none runs at all is tried less and less often.
void Spawner::sweep(Time now) {
  if (!endings_.empty() && services_.tree.has_adopted()) {
    const bool none_runs = services_.commands.load() == 0;
    next_sweep_ = std::min(next_sweep_, none_runs ? now : std::max(now, last_sweep_ + kSweepSoon));
    if (none_runs) sweep_pause_ = kSweepSoon;
  }
  if (next_sweep_ > now) return;
  last_sweep_ = now;
  std::erase_if(abandoned_, [](auto& command) { return command->reap(); });
  next_sweep_ = runs_.empty() && abandoned_.empty() ? kNever : now + kSweepEvery;
  if (!services_.tree.has_adopted()) return;
  services_.tree.reap();
  services_.tree.kill_strays([this] { return services_.starts.oldest(); });
  if (services_.commands.load() == 0) {
    next_sweep_ = now + sweep_pause_;
    sweep_pause_ = std::min(sweep_pause_ * 2, kSweepEvery);
  }
}

}  // namespace workpool::worker
