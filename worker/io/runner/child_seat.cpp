// SPDX-License-Identifier: MIT
// The loop of a seat: waiting, talking, and taking work; how children end is in child_seat_ending.cpp.
#include "worker/io/runner/child_seat.h"

#include <algorithm>
#include <new>
#include <system_error>
#include <utility>

#include "common/base/check.h"
#include "worker/io/runner/handler_run.h"

namespace workpool::worker {
namespace {

// Of stdout, before timers have their turn; and of a child that has ended, whose pipe may be a large one.
constexpr int kBlocksMost = 8;
constexpr int kLastBlocksMost = 64;
// A child that closes stdin or stdout mostly ends; then its end says more.
constexpr Duration kToEnd = seconds(1);
constexpr Duration kOrphansEvery = seconds(1);
constexpr const char* kNoMemory = "this worker has no memory left for what the handler's program wrote";

// Where the descriptors of a child stand among those that are polled. Stdout before stderr: if there is an
// answer, what was written to stderr before it is seen with it.
enum Polled : std::size_t { kOutput, kErrors, kProcess, kInput, kPolled };

}  // namespace

ChildSeat::ChildSeat(std::shared_ptr<ChildServices> services, std::uint32_t number)
    : services_(std::move(services)),
      number_(number),
      seat_(std::make_shared<ChildQueue::Seat>(services_->queue.programs().size())),
      starter_(services_->from) {
  for (std::uint32_t i = 0; i < services_->queue.programs().size(); ++i) {
    places_.emplace_back(services_->run->options);
    places_.back().handler = i;
  }
  ready_.resize(places_.size());
}

void ChildSeat::run() {
  looked_ = boot_time();
  take_work(looked_);
  while (!services_->queue.is_closing()) {
    services_->run->deliver(endings_);
    wait();
    seat_->wake.clear();
    const Time now = boot_time();
    move_timers(now);
    obey(now);
    for (Place& place : places_) {
      if (place.child != nullptr) serve(place, now);
    }
    take_work(now);
    if (orphans_at_ <= now) look_after_orphans(now);
  }
  end_all();
}

// What children leave behind becomes ours. If no command runs, nobody else reaps it, or ends what hid from us
// once no child is left that may have started it.
void ChildSeat::look_after_orphans(Time now) {
  std::erase_if(unkillable_, [](auto& child) { return child->reap(); });
  RunServices& run = *services_->run;
  const bool any = run.tree.has_adopted();
  if (any) {
    run.tree.reap();
    run.tree.kill_strays([&run] { return run.residents.oldest(); });
  }
  orphans_at_ = any || !unkillable_.empty() ? now + kOrphansEvery : kNever;
}

// ---- waiting ----

Time ChildSeat::next_timer() const {
  Time next = orphans_at_;
  for (const Place& place : places_) {
    if (place.child == nullptr) continue;
    if (place.ending) {
      next = std::min(next, place.ending->look_at);
    } else {
      next = std::min({next, place.talk.due(), place.talk.impatient_at(), place.talk.look_at()});
      if (place.closed_at != kNever) next = std::min(next, place.closed_at + kToEnd);
    }
  }
  return next;
}

void ChildSeat::wait() {
  polled_.clear();
  polled_.push_back({seat_->wake.fd(), POLLIN, 0});
  for (Place& place : places_) {
    place.polled_at = polled_.size();
    if (place.child == nullptr) continue;
    const HandlerChild& child = *place.child;
    polled_.push_back({child.output_fd(), POLLIN, 0});
    polled_.push_back({child.errors_fd(), POLLIN, 0});
    polled_.push_back({child.process_fd(), POLLIN, 0});
    // Only while there is something to write: it would report at once that nobody reads any more.
    polled_.push_back({child.has_unsent() ? child.input_fd() : -1, POLLOUT, 0});
  }
  const Time next = next_timer();
  had_timer_ = next != kNever;
  int wait_ms = -1;
  if (had_timer_) {
    // In ticks, so that a pause of the whole worker shows; rounded up, or the last millisecond is spent
    // spinning.
    const Duration left = std::clamp<Duration>(next - boot_time(), Duration(0), kTick);
    wait_ms = static_cast<int>(std::chrono::ceil<milliseconds>(left).count());
  }
  if (::poll(polled_.data(), polled_.size(), wait_ms) > 0) return;
  for (pollfd& polled : polled_) polled.revents = 0;
}

// Moves all timers by the time in which nothing here could run.
void ChildSeat::move_timers(Time now) {
  const Duration pause = pause_since(std::exchange(looked_, now), now);
  if (pause == Duration(0) || !had_timer_) return;
  for (Place& place : places_) {
    place.talk.move_timers(pause);
    if (place.closed_at != kNever) place.closed_at += pause;
    if (!place.ending) continue;
    for (Time* timer : {&place.ending->term_at, &place.ending->kill_at, &place.ending->killed}) {
      if (*timer != kNever) *timer += pause;
    }
  }
}

void ChildSeat::obey(Time now) {
  using Where = HandlerTalk::Where;
  unstarts_.clear();
  Place* concerned = nullptr;  // one at most is at work
  for (const ChildQueue::Kill& kill : services_->queue.take_kills(*seat_)) {
    const bool unless_begun = kill.when == KillWhen::kUnlessBegun;
    const Time kill_at = kill.when == KillWhen::kAtOnce ? now : now + services_->run->options.kill_grace;
    for (Place& place : places_) {
      const Where where = unless_begun ? place.talk.find(kill.token) : place.talk.kill(kill.token);
      if (where == Where::kFirst && !unless_begun) {
        end(place, Why::kStopped, kill_at, now);
      } else if (where != Where::kNowhere) {
        unstarts_.push_back(kill.token);
        concerned = &place;
      }
    }
  }
  if (concerned != nullptr) take_back(*concerned, true);
}

// ---- one child ----

void ChildSeat::serve(Place& place, Time now) {
  const pollfd* const polled = polled_.data() + place.polled_at;
  const bool exited = polled[kProcess].revents != 0 && place.child->reap();
  if (place.ending) {
    if (polled[kOutput].revents != 0) place.child->drop_output();
    if (polled[kErrors].revents != 0) read_errors(place);
    if (exited) place.ending->look_at = now;
  } else {
    if (polled[kOutput].revents != 0 || exited) {
      listen(place, now, exited);
    } else if (polled[kErrors].revents != 0) {
      read_errors(place);
    }
    if (polled[kInput].revents != 0 && !place.ending) feed(place, now);
    if (exited && !place.ending) end(place, place.talk.is_idle() ? Why::kReplaced : Why::kDied, now, now);
  }
  judge(place, now);
}

void ChildSeat::judge(Place& place, Time now) {
  if (!place.ending) {
    if (place.talk.is_starting()) look_at_start(place, now);
    if (place.talk.due() <= now) {
      const Why why = place.talk.is_starting() ? Why::kNeverRead : Why::kTimeout;
      end(place, why, now + services_->run->options.kill_grace, now);
    } else if (!place.talk.is_idle() && place.talk.first().killed) {
      end(place, Why::kStopped, now + services_->run->options.kill_grace, now);
    } else if (place.closed_at != kNever && now >= place.closed_at + kToEnd) {
      fault(place, std::string("the handler's program closed its ") + place.closed + " and went on", now);
    } else if (place.talk.is_idle() &&
               (place.talk.is_spent() || services_->queue.is_stopped(place.handler))) {
      retire(place, now);
    } else if (place.talk.impatient_at() <= now) {
      take_back(place, false);
    }
  }
  if (place.ending && place.ending->look_at <= now) go_on_ending(place, now);
}

void ChildSeat::look_at_start(Place& place, Time now) {
  // Its job goes to another worker, so it is not to read the request while it is being ended.
  if (place.talk.due() <= now) place.child->take_back();
  if (std::min(place.talk.look_at(), place.talk.due()) <= now)
    place.talk.note_read(place.child->bytes_read(), now);
}

void ChildSeat::listen(Place& place, Time now, bool to_the_end) {
  const int most = to_the_end ? kLastBlocksMost : kBlocksMost;
  for (int blocks = 0; blocks < most; ++blocks) {
    HandlerChild::Got got{};
    try {
      got = place.child->read_output();
    } catch (const std::bad_alloc&) {
      return fault(place, kNoMemory, now);
    }
    read_errors(place);  // what was written before an answer belongs to that answer's job
    if (!take_lines(place, now)) return;
    if (got == HandlerChild::Got::kClosed && place.closed_at == kNever) {
      place.closed_at = now;
      place.closed = "stdout";
      services_->queue.note_child(*seat_, place.handler, ChildQueue::Child::kEnds);
    }
    if (got != HandlerChild::Got::kMore) return;
  }
}

// Returns false if the child is of no use any more.
bool ChildSeat::take_lines(Place& place, Time now) {
  static const std::string kTooLong =
      "the handler's program wrote a line of over 1 MiB: larger values travel as files";
  const std::size_t before = endings_.size();
  const std::uint64_t read = place.child->bytes_read();
  place.talk.note_read(read, now);
  std::string wrong;
  std::string_view line;
  for (bool too_long = false; wrong.empty() && place.child->next_line(line, too_long);) {
    if (too_long) {
      wrong = kTooLong;
      break;
    }
    HandlerTalk::Heard heard{};
    try {
      heard = place.talk.hear(line, read, endings_, wrong);
    } catch (const std::bad_alloc&) {
      wrong = kNoMemory;
      break;
    }
    switch (heard) {
      case HandlerTalk::Heard::kAnswer:
        answered(place);
        break;
      case HandlerTalk::Heard::kProgress:
        services_->run->progress.say(place.talk.first().attempt.token, place.talk.take_progress());
        break;
      case HandlerTalk::Heard::kFault:
        break;
      case HandlerTalk::Heard::kSurplus:
        wrong = "the handler's program wrote a line that it was not asked for: one answer to each request";
        place.talk.distrust_answers(endings_, wrong);
        break;
    }
  }
  if (wrong.empty() && place.child->in_long_line()) wrong = kTooLong;
  place.talk.lines_over(now, endings_);
  if (endings_.size() > before) services_->queue.answered(place.handler);
  if (!wrong.empty()) fault(place, wrong, now);
  return wrong.empty();
}

// The job that ran has its ending, the last of `endings_`.
void ChildSeat::answered(Place& place) {
  add_errors(place, endings_.back().outcome);
  if (endings_.back().how != AttemptEnd::kOutcome) endings_.back().outcome = {};
  note_first(place);
}

void ChildSeat::read_errors(Place& place) {
  const bool of_a_job = !place.talk.is_idle();
  if (of_a_job && !place.errors) place.errors.emplace(services_->run->capture_bytes.load());
  try {
    for (int blocks = 0; blocks < kBlocksMost; ++blocks) {
      if (!place.child->read_errors(of_a_job ? &*place.errors : nullptr)) return;
      if (of_a_job) place.talk.note_stderr();
    }
  } catch (const std::bad_alloc&) {
    place.errors.reset();  // what was written is lost, its job is not
  }
}

// A handler's result has a stderr only if there is something in it, so one that writes nothing looks like one
// of a built-in handler.
void ChildSeat::add_errors(Place& place, Outcome& outcome) {
  if (!place.errors) return;
  CommandEnd end;
  end.keeps_output = false;
  end.standard_error = place.errors->take(end.truncated);
  place.errors.reset();
  const bool unwanted = outcome.status == Status::kOk && services_->run->capture_failed_only.load();
  if (!end.standard_error.empty() && !unwanted) outcome.command.emplace() = std::move(end);
}

void ChildSeat::feed(Place& place, Time now) {
  if (place.child->feed() != HandlerChild::Fed::kRefused) return;
  place.child->close_input();
  services_->queue.note_child(*seat_, place.handler, ChildQueue::Child::kEnds);
  if (place.closed_at != kNever) return;
  place.closed_at = now;
  place.closed = "stdin";
}

// ---- work ----

// Notes the job that runs now, for whoever has to know after a crash of the engine.
void ChildSeat::note_first(Place& place) {
  free_page_place();
  if (place.talk.is_idle()) return;
  page_place_ = services_->run->options.page->started_at_fixed(number_, place.talk.first().attempt.order.key);
}

void ChildSeat::free_page_place() {
  if (page_place_) services_->run->options.page->ended(*std::exchange(page_place_, std::nullopt));
}

bool ChildSeat::has_busy_place(Place*& busy) {
  for (Place& place : places_) {
    if (place.talk.is_idle()) continue;
    busy = &place;
    return true;
  }
  return false;
}

void ChildSeat::take_work(Time now) {
  Place* busy = nullptr;
  while (!has_busy_place(busy)) {
    for (Place& place : places_) ready_[place.handler] = !place.ending && place.closed_at == kNever;
    ChildJob job;
    if (!services_->queue.take(*seat_, ready_, job)) return;
    begin(std::move(job), now);
  }
  if (busy->ending || busy->closed_at != kNever) return;
  taken_.clear();
  if (const std::size_t room = busy->talk.room();
      room > 0 && busy->child->unsent_bytes() < ChildQueue::kAheadBytes)
    services_->queue.take_more(busy->handler, room, services_->run->options.slots, taken_);
  for (ChildJob& job : taken_) ask(*busy, std::move(job), now);
  feed(*busy, now);
}

void ChildSeat::begin(ChildJob&& job, Time now) {
  Place& place = places_[job.handler];
  if (place.child != nullptr || start_child(place, job, now)) ask(place, std::move(job), now);
}

// Returns false if there is no child; the job has ended then.
bool ChildSeat::start_child(Place& place, ChildJob& job, Time now) {
  if (!services_->run->may_start(now)) {
    not_started(job.attempt.token);
    return false;
  }
  HandlerStart started = NoResources{};
  services_->run->residents.add(now);  // before it can start anything
  try {
    started = starter_.start(services_->queue.programs()[place.handler], number_ + 1);
  } catch (const std::bad_alloc&) {
    started = NoResources{std::generic_category().message(ENOMEM)};
  }
  if (!std::holds_alternative<std::unique_ptr<HandlerChild>>(started)) services_->run->residents.remove(now);
  if (auto* const lack = std::get_if<NoResources>(&started)) {
    endings_.push_back(no_resources(job.attempt.token, lack->reason));
    return false;
  }
  if (auto* const missing = std::get_if<NoSuchChild>(&started)) {
    AttemptEnded& ending = endings_.emplace_back();
    ending.token = job.attempt.token;
    ending.outcome = handler_failure("the handler's program: " + missing->reason);
    ending.outcome.kind = ErrorKind::kSpawn;  // another worker may have it
    std::vector<ChildJob> left;
    if (services_->queue.died(place.handler, job.attempt.order.key, left))
      stop_handler(place, ending.outcome.message, std::move(left));
    return false;
  }
  place.child = std::move(std::get<std::unique_ptr<HandlerChild>>(started));
  place.talk.begin();
  place.errors.reset();
  place.started = now;
  place.closed_at = kNever;
  place.polled_at = 0;
  services_->queue.note_child(*seat_, place.handler, ChildQueue::Child::kTalks);
  return true;
}

void ChildSeat::ask(Place& place, ChildJob&& job, Time now) {
  const std::uint64_t token = job.attempt.token;
  if (!services_->run->may_start(now)) return not_started(token);
  const bool is_first = place.talk.is_idle();
  try {
    if (write_request(place, std::move(job.attempt), now) && is_first) note_first(place);
  } catch (const std::bad_alloc&) {
    endings_.push_back(no_resources(token, std::generic_category().message(ENOMEM)));
  }
}

// Returns false if there is nothing to ask; the job has ended then. If it throws, the child is not asked.
bool ChildSeat::write_request(Place& place, StartAttempt&& attempt, Time now) {
  const auto parsed = parser_.parse(attempt.order.work);
  const auto* const work = std::get_if<HandlerWork>(&parsed);
  if (work == nullptr) {
    const auto* const error = std::get_if<LineError>(&parsed);
    endings_.push_back({attempt.token, AttemptEnd::kOutcome,
                        handler_failure("unusable job: " + (error == nullptr ? "" : error->message)),
                        Duration(0)});
    return false;
  }
  const std::uint64_t begins = place.child->ask(attempt.order.full_id(), attempt.order.attempt, work->args);
  try {
    place.talk.ask(std::move(attempt), begins, now);
  } catch (const std::bad_alloc&) {
    place.child->forget_from(begins);
    throw;
  }
  return true;
}

// What the child has not read it has not begun: it goes to whoever is free, or ends if it is to be unstarted.
void ChildSeat::take_back(Place& place, bool and_first) {
  if (place.ending || place.closed_at != kNever) return;
  std::vector<HandlerTalk::Asked> unread = place.talk.take_unread(place.child->take_back(), and_first);
  if (unread.empty()) return;
  place.child->forget_from(unread.front().begins);
  std::vector<ChildJob> back;
  for (HandlerTalk::Asked& asked : unread) {
    const std::uint64_t token = asked.attempt.token;
    if (asked.killed || std::find(unstarts_.begin(), unstarts_.end(), token) != unstarts_.end()) {
      not_started(token);
    } else {
      back.push_back({std::move(asked.attempt), place.handler});
    }
  }
  services_->queue.give_back(*seat_, back);
  for (const ChildJob& job : back) not_started(job.attempt.token);
  if (!place.talk.is_idle()) return;
  free_page_place();
  place.errors.reset();
}

}  // namespace workpool::worker
