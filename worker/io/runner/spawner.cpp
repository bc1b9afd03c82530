// SPDX-License-Identifier: MIT
#include "worker/io/runner/spawner.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <new>
#include <system_error>

#include "common/base/check.h"
#include "common/io/threads.h"

namespace workpool::worker {
namespace {

constexpr int kEventsMax = 64;
// Spawns in a row, some 3 ms, before pipes and timers have their turn.
constexpr int kStartsInARow = 8;
constexpr std::size_t kReadBytes = 64 * 1024;
// A start takes a millisecond or so; another thread for the loop costs a tenth of one.
constexpr Duration kStuckAfter = milliseconds(50);
// How long adopted processes that died wait to be reaped while their job goes on.
constexpr Duration kSweepEvery = seconds(1);
constexpr Duration kSweepSoon = milliseconds(20);

// An event's tag: the number of the run, and which of its channels.
constexpr std::uint64_t kWakeUp = ~std::uint64_t{0};
constexpr std::uint64_t tag_of(std::uint32_t number) { return std::uint64_t{number} << 2; }
static_assert(Command::kChannels == 4);

}  // namespace

Spawner::Spawner(std::shared_ptr<CommandServices> services)
    : services_(std::move(services)),
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
}

// ---- its threads ----

void Spawner::open() {
  const std::lock_guard lock(mutex_);
  current_ = add_helper();
}

// REQUIRES: mutex_ is held. Throws std::system_error if the system has no room.
Spawner::Helper* Spawner::add_helper() {
  auto helper = std::make_unique<Helper>();
  Helper* const self = helper.get();
  self->starter = services_->make_starter();
  helpers_.reserve(helpers_.size() + 1);
  self->thread = start_thread([spawner = shared_from_this(), self] { spawner->serve(*self); });
  helpers_.push_back(std::move(helper));
  return self;
}

void Spawner::serve(Helper& self) {
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [&] { return current_ == &self || is_over_; });
      if (is_over_) return;
    }
    loop(self);
  }
}

bool Spawner::free_if_stuck(Time now) {
  const std::lock_guard lock(mutex_);
  if (in_start_since_ == kNever) return false;
  if (now < in_start_since_ + kStuckAfter) return true;
  const auto idle = std::find_if(helpers_.begin(), helpers_.end(), [&](const auto& helper) {
    return helper.get() != current_ && !helper->is_in_start;
  });
  try {
    current_ = idle != helpers_.end() ? idle->get() : add_helper();
  } catch (const std::exception&) {
    return true;  // no room for a thread: the next look tries again
  }
  in_start_since_ = kNever;
  changed_.notify_all();
  ::eventfd_write(wake_up_.get(), 1);  // the loop may have something to hand over
  return true;
}

void Spawner::begin_to_close() {
  const std::lock_guard lock(mutex_);
  closing_ = true;
  ::eventfd_write(wake_up_.get(), 1);
}

void Spawner::close() {
  begin_to_close();
  std::vector<std::thread> to_join;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return is_over_ || helpers_.empty(); });
    for (const auto& helper : helpers_) {
      if (helper->is_in_start) {
        helper->thread.detach();
      } else {
        to_join.push_back(std::move(helper->thread));
      }
    }
  }
  for (std::thread& thread : to_join) thread.join();
  // The join happens inside libstdc++, where ThreadSanitizer does not look; the mutex tells it the same.
  const std::lock_guard lock(mutex_);
}

// Whether the loop has nothing left to do, for good.
bool Spawner::may_end() {
  const std::lock_guard lock(mutex_);
  const auto is_lost = [](const auto& run) { return run.second.lost && run.second.command == nullptr; };
  if (!closing_ || !messages_.empty() || !to_settle_.empty()) return false;
  if (!std::all_of(runs_.begin(), runs_.end(), is_lost)) return false;
  is_over_ = true;
  changed_.notify_all();
  return true;
}

// ---- what others ask for ----

void Spawner::post(Message&& message) {
  if (messages_.empty()) ::eventfd_write(wake_up_.get(), 1);
  messages_.push_back(std::move(message));
}

void Spawner::start(StartAttempt&& attempt) {
  const std::lock_guard lock(mutex_);
  post({Message::Kind::kStart, std::move(attempt), 0, {}});
}

void Spawner::kill(std::uint64_t token, bool now) {
  const std::lock_guard lock(mutex_);
  post({now ? Message::Kind::kKillNow : Message::Kind::kKill, {token, {}}, 0, {}});
}

// ---- the loop ----

void Spawner::loop(Helper& self) {
  epoll_event events[kEventsMax];
  while (true) {
    const int count = ::epoll_wait(epoll_.get(), events, kEventsMax, wait_ms(boot_time()));
    CHECK(count >= 0 || errno == EINTR);
    const Time now = boot_time();
    move_timers(now);
    for (int i = 0; i < count; ++i) handle_event(events[i].data.u64, now);
    take_messages();
    if (!start_pending(self)) return;
    fire_timers(now);
    if (!settle_files(self)) return;
    sweep(now);
    hand_over(now);
    if (runs_.empty() && unsettled_.empty()) next_wake_ = kNever;
    if (may_end()) return;
  }
}

int Spawner::wait_ms(Time now) const {
  if (!pending_.empty()) return 0;
  const Time next = std::min({next_wake_, next_sweep_, hand_over_at_});
  if (next == kNever) return -1;
  if (next <= now) return 0;
  // While there are timers, wait in ticks, so that a pause of the whole worker shows. Else epoll's limit of
  // 24 days is the bound.
  const Duration most = next_wake_ != kNever ? kTick : seconds(24 * 3600);
  // Rounded up, or else the last millisecond is spent spinning.
  return static_cast<int>(std::chrono::ceil<milliseconds>(std::min(next - now, most)).count());
}

// Moves all timers by the time in which nothing here could run.
void Spawner::move_timers(Time now) {
  const Duration pause = pause_since(std::exchange(looked_, now), now);
  if (pause == Duration(0) || next_wake_ == kNever) return;
  const auto move = [pause](Time& timer) {
    if (timer != kNever) timer += pause;
  };
  for (auto& [number, run] : runs_) {
    for (Time* timer : {&run.deadline, &run.kill_at, &run.read_until, &run.killed, &run.wake}) move(*timer);
  }
  for (auto& [number, run] : unsettled_) {
    for (Time* timer : {&run->kill_at, &run->look_at}) move(*timer);
  }
  move(next_wake_);
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
    switch (message.kind) {
      case Message::Kind::kStart:
        pending_.push_back(std::move(message.attempt));
        break;
      case Message::Kind::kKill:
      case Message::Kind::kKillNow:
        begin_kill(message.attempt.token, message.kind == Message::Kind::kKillNow, now);
        break;
      case Message::Kind::kStarted:
        came_back(message.number, std::move(message.started));
        break;
      case Message::Kind::kSettled:
        settled(message.number);
        break;
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
      read(run, true, false);
      break;
    case Command::kErrors:
      read(run, false, true);
      break;
  }
  // Output matters for the end only when it was the last that the ending waited for.
  const bool was_last = run.command->has_exited() && !run.command->has_open_pipes();
  if ((tag & 3) != Command::kProcess && !was_last) return;
  if (settle(run, now)) finish(number);
}

// ---- starting ----

// Returns false if the loop belongs to another thread now.
bool Spawner::start_pending(Helper& self) {
  for (int i = 0; i < kStartsInARow && !pending_.empty(); ++i) {
    StartAttempt attempt = std::move(pending_.front());
    pending_.pop_front();
    if (!begin(self, std::move(attempt))) return false;
  }
  return true;
}

bool Spawner::begin(Helper& self, StartAttempt&& attempt) {
  const Time now = boot_time();
  if (!services_->run->may_start(now)) {
    push({attempt.token, AttemptEnd::kNotStarted, {}, Duration(0)});
    return true;
  }
  const std::uint32_t number = next_number_++;
  Run& run = runs_[number];
  run.token = attempt.token;
  run.timeout = attempt.order.timeout;
  run.under_way = &self.under_way;
  run.started = now;
  run.place = last_place_ = services_->run->options.page->started(attempt.order.key, last_place_);
  services_->table.starts(run.token, now);
  if (run.timeout > Duration(0)) {
    run.deadline = now + run.timeout;
    wake_at(run, run.deadline);
  }
  {
    const std::lock_guard lock(mutex_);
    in_start_since_ = now;
    self.is_in_start = true;
  }
  const std::uint32_t slot = run.place + 1;
  services_->note_start();
  // From here on the loop, and all that belongs to it, may be another thread's.
  CommandStart started = start_command(self, attempt, slot);
  if (is_replaced(self, number, started)) return false;
  came_back(number, std::move(started));
  return true;
}

CommandStart Spawner::start_command(Helper& self, const StartAttempt& attempt, std::uint32_t slot) {
  try {
    return self.starter->start(attempt, slot, self.under_way);
  } catch (const std::bad_alloc&) {
    return NoResources{std::generic_category().message(ENOMEM)};
  } catch (const std::system_error& error) {
    return NoResources{error.what()};
  }
}

// The start has returned. Returns true if it took so long that another thread has the loop; posts the result
// to that thread then.
bool Spawner::is_replaced(Helper& self, std::uint32_t number, CommandStart& started) {
  const std::lock_guard lock(mutex_);
  self.is_in_start = false;
  if (current_ == &self) {
    in_start_since_ = kNever;
    return false;
  }
  if (!is_over_) {
    post({Message::Kind::kStarted, {}, number, std::move(started)});
  } else if (const auto* command = std::get_if<std::unique_ptr<Command>>(&started)) {
    kill_now(services_->run->tree.members((*command)->processes()));
  }
  return true;
}

void Spawner::came_back(std::uint32_t number, CommandStart&& started) {
  Run& run = runs_.at(number);
  run.under_way = nullptr;
  auto* const command = std::get_if<std::unique_ptr<Command>>(&started);
  if (command == nullptr) return not_started(number, std::move(started));
  run.command = std::move(*command);
  if (next_sweep_ == kNever) next_sweep_ = run.started + kSweepEvery;
  run.command->feed();  // most inputs fit the pipe at once
  run.command->watch(epoll_.get(), tag_of(number));
  if (run.reason == Reason::kByItself) return;
  run.kill_at = boot_time();
  wake_at(run, run.kill_at);
}

void Spawner::not_started(std::uint32_t number, CommandStart&& started) {
  Run& run = runs_.at(number);
  AttemptEnded ending = ending_of(run);
  if (run.reason == Reason::kByItself) {
    if (auto* const failure = std::get_if<CannotStart>(&started)) {
      ending.outcome = std::move(failure->outcome);
    } else {
      ending = no_resources(run.token, std::get<NoResources>(started).reason);
    }
  }
  services_->run->options.page->ended(run.place);
  runs_.erase(number);
  push(std::move(ending));
}

// ---- what nobody owns ----

// Reaps dead adopted processes. Kills those that no job could be found for once every running command is
// younger. While none runs at all, what does not die is tried less and less often.
void Spawner::sweep(Time now) {
  if (!endings_.empty() && services_->run->tree.has_adopted()) {
    const bool none_runs = services_->table.none_runs();
    next_sweep_ = std::min(next_sweep_, none_runs ? now : std::max(now, last_sweep_ + kSweepSoon));
    if (none_runs) sweep_pause_ = kSweepSoon;
  }
  if (next_sweep_ > now) return;
  last_sweep_ = now;
  std::erase_if(abandoned_, [](auto& command) { return command->reap(); });
  next_sweep_ = runs_.empty() && abandoned_.empty() ? kNever : now + kSweepEvery;
  if (!services_->run->tree.has_adopted()) return;
  services_->run->tree.reap();
  services_->run->tree.kill_strays([this] { return services_->run->residents.oldest(); });
  if (services_->table.none_runs()) {
    next_sweep_ = now + sweep_pause_;
    sweep_pause_ = std::min(sweep_pause_ * 2, kSweepEvery);
  }
}

}  // namespace workpool::worker
