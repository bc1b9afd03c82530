// SPDX-License-Identifier: MIT
// How the children of a seat end, and what their jobs end with then. The rest is in child_seat.cpp.
#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/handler_start.h"
#include "common/base/text.h"
#include "common/base/units.h"
#include "worker/io/runner/child_seat.h"
#include "worker/io/runner/handler_run.h"

namespace workpool::worker {
namespace {

// A child whose stdin is closed because it has had its jobs, before TERM: it may have to tidy up.
constexpr Duration kToLeave = seconds(1);
constexpr Duration kUnkillable = seconds(5);  // after KILL, of what is stuck in the kernel
// As for commands: killed processes are mostly gone within microseconds.
constexpr Duration kFirstPause = microseconds(500);
constexpr Duration kLongestPause = milliseconds(20);
constexpr Duration kAtTheEnd = seconds(1);
constexpr std::size_t kWordsMost = 200;
constexpr int kShellSignalBase = 128;  // a status of 137 says that signal 9 ended what the shell waited for

// The last line of its stderr, which mostly says why: an import that fails, a file that is not there.
std::string last_words(std::string_view errors) {
  const std::size_t end = errors.find_last_not_of(" \t\r\n");
  if (end == std::string_view::npos) return "";
  const std::size_t newline = errors.rfind('\n', end);
  const std::size_t begin = newline == std::string_view::npos ? 0 : newline + 1;
  return "; it said: " + printable(errors.substr(begin, end + 1 - begin), kWordsMost);
}

}  // namespace

// The job that was asked first ends with `message`; the child is not judged.
void ChildSeat::fail_first(Place& place, const std::string& message, Time now) {
  auto first = place.talk.take_first();
  if (!first) return;
  AttemptEnded& ending = endings_.emplace_back();
  ending.token = first->attempt.token;
  ending.ran = now - place.talk.since();
  ending.waited = place.talk.waited();
  if (first->killed) {
    ending.how = AttemptEnd::kStopped;
    place.errors.reset();
  } else {
    ending.outcome = handler_failure(message);
    add_errors(place, ending.outcome);
  }
  free_page_place();
}

// What the child says cannot be trusted any more. Its job fails now, the others are asked again once it is
// gone.
void ChildSeat::fault(Place& place, const std::string& message, Time now) {
  const bool is_blamed = place.talk.is_idle() || !place.talk.is_between_jobs(place.child->bytes_read());
  if (is_blamed) fail_first(place, message, now);
  // What was asked behind it runs again in another child, so this one must not go on with it.
  const Duration grace = place.talk.is_idle() ? services_->run->options.kill_grace : Duration(0);
  end(place, Why::kReplaced, now + grace, now);
}

// Sends TERM unless `kill_at` has come. If it is being ended already, only KILL may come sooner.
void ChildSeat::end(Place& place, Why why, Time kill_at, Time now) {
  if (place.ending) {
    place.ending->kill_at = std::min(place.ending->kill_at, kill_at);
    place.ending->look_at = std::min(place.ending->look_at, now);
    return;
  }
  place.talk.note_read(place.child->bytes_read(), now);
  place.child->close_input();
  services_->queue.note_child(*seat_, place.handler, ChildQueue::Child::kEnds);
  Ending& ending = place.ending.emplace();
  ending.why = why;
  ending.term_at = kill_at > now ? now : kNever;
  ending.kill_at = kill_at;
  ending.look_at = now;
}

void ChildSeat::retire(Place& place, Time now) {
  end(place, Why::kReplaced, now + kToLeave + services_->run->options.kill_grace, now);
  place.ending->term_at = now + kToLeave;
}

void ChildSeat::go_on_ending(Place& place, Time now) {
  Ending& ending = *place.ending;
  place.child->reap();
  std::vector<int> left = services_->run->tree.members(place.child->processes());
  if (left.empty()) return finish(place, now);
  // What it left when it ended by itself. At a timeout everything below it has the grace.
  const bool by_itself = ending.why == Why::kDied || ending.why == Why::kReplaced;
  if (by_itself && place.child->has_exited()) ending.kill_at = std::min(ending.kill_at, now);
  if (ending.term_at <= now) {
    ending.term_at = kNever;
    terminate(left);
  }
  if (ending.kill_at <= now) {
    if (ending.killed == kNever) ending.killed = now;
    if (kill_now(left) == left.size() || now >= ending.killed + kUnkillable) {
      ending.alive = std::move(left);
      return finish(place, now);
    }
  }
  ending.pause = ending.pause == Duration(0) ? kFirstPause : std::min(ending.pause * 2, kLongestPause);
  ending.look_at = now + ending.pause;
  for (const Time timer : {ending.term_at, ending.kill_at}) {
    if (timer > now) ending.look_at = std::min(ending.look_at, timer);
  }
}

// The child is gone.
void ChildSeat::finish(Place& place, Time now) {
  read_errors(place);
  Ending ending = *std::move(place.ending);
  if (!place.talk.is_idle()) free_page_place();
  end_first(place, ending, now);
  std::vector<ChildJob> back;
  while (auto asked = place.talk.take_first()) {
    if (asked->killed) {
      not_started(asked->attempt.token);
    } else {
      back.push_back({std::move(asked->attempt), place.handler});
    }
  }
  place.ending.reset();
  if (!place.child->has_exited()) unkillable_.push_back(std::move(place.child));
  place.child.reset();
  place.errors.reset();
  place.closed_at = kNever;
  services_->run->residents.remove(place.started);
  services_->queue.note_child(*seat_, place.handler, ChildQueue::Child::kNone);
  services_->queue.give_back(*seat_, back);
  for (const ChildJob& job : back) not_started(job.attempt.token);
  orphans_at_ = now;
}

// Ends the job that the child had in hand.
void ChildSeat::end_first(Place& place, Ending& ending, Time now) {
  if (place.talk.is_idle()) return;
  // It left or died without a look at this one, or before it was asked. If it has never answered, it may have
  // died of what it is, and the next one would, too.
  const bool is_blamed = !place.talk.is_between_jobs(place.child->bytes_read());
  if (ending.why == Why::kReplaced || (ending.why == Why::kDied && !is_blamed)) return;
  auto asked = place.talk.take_first();
  AttemptEnded ended;
  ended.token = asked->attempt.token;
  ended.ran = now - place.talk.since();
  ended.waited = place.talk.waited();
  ended.alive = std::move(ending.alive);
  if (ending.why == Why::kStopped || asked->killed) {
    ended.how = AttemptEnd::kStopped;
  } else if (ending.why == Why::kTimeout) {
    ended.outcome = timed_out({}, asked->attempt.order.timeout);
    add_errors(place, ended.outcome);
  } else if (ending.why == Why::kNeverRead) {
    give_up_start(place, ended, asked->attempt.order);
  } else {
    bury(place, ended, asked->attempt.order.key);
  }
  endings_.push_back(std::move(ended));
}

// It died with the job in hand.
void ChildSeat::bury(Place& place, AttemptEnded& ending, const Key& key) {
  const int by_signal = place.child->ended_by_signal();
  std::string text = handler_end_text(place.child->exit_status(), by_signal);
  if (by_signal == 0 && place.child->exit_status() == 0 && place.talk.has_answered())
    text += " when it had read a request; if it leaves after some jobs, let --handler-jobs end it instead";
  ending.outcome = handler_failure(text);
  add_errors(place, ending.outcome);
  if (may_be_of_a_stop(by_signal)) ending.how = AttemptEnd::kDoubtful;
  // One that has answered works here, and one that somebody has killed says nothing about it. Of that a shell
  // that waits for its program tells by its own status.
  const int signal = by_signal != 0 ? by_signal : place.child->exit_status() - kShellSignalBase;
  if (!place.talk.has_answered() && !may_be_of_a_stop(signal)) count_death(place, ending, key);
}

// It has read nothing of the job, so that may run elsewhere.
void ChildSeat::give_up_start(Place& place, AttemptEnded& ending, const JobOrder& order) {
  const Duration most = handler_start_most(order.timeout, services_->run->options.handler_start_most);
  ending.outcome = handler_failure("the handler's program read no request within " + format_duration(most) +
                                   " of its start: does it read its stdin? If it has to load for longer, "
                                   "give its jobs a longer timeout");
  ending.outcome.kind = ErrorKind::kSpawn;
  add_errors(place, ending.outcome);
  count_death(place, ending, order.key);
}

// It was of no use, and had never answered.
void ChildSeat::count_death(Place& place, const AttemptEnded& ending, const Key& key) {
  std::vector<ChildJob> left;
  if (!services_->queue.died(place.handler, key, left)) return;
  std::string why = ending.outcome.message;
  if (ending.outcome.command) why += last_words(ending.outcome.command->standard_error);
  stop_handler(place, std::move(why), std::move(left));
}

// `why` by value: it may be of one of endings_, which grow here.
void ChildSeat::stop_handler(const Place& place, std::string why, std::vector<ChildJob>&& left) {
  for (const ChildJob& job : left) not_started(job.attempt.token);
  services_->stopped({services_->queue.programs()[place.handler].name, std::move(why)});
}

// Kills all children, at once.
void ChildSeat::end_all() {
  const Time until = boot_time() + kAtTheEnd;
  for (Place& place : places_) {
    if (place.child == nullptr) continue;
    while (true) {
      place.child->reap();
      const std::vector<int> left = services_->run->tree.members(place.child->processes());
      if (left.empty() || kill_now(left) == left.size() || boot_time() >= until) break;
      pollfd gone{place.child->process_fd(), POLLIN, 0};
      ::poll(&gone, 1, 1);
    }
    services_->run->residents.remove(place.started);
    place.child.reset();
  }
}

}  // namespace workpool::worker
