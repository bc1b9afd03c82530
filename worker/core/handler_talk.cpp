// SPDX-License-Identifier: MIT
#include "worker/core/handler_talk.h"

#include <string.h>

#include <algorithm>
#include <utility>
#include <variant>

#include "common/base/check.h"
#include "common/base/outcome.h"
#include "common/base/text.h"
#include "common/formats/json_text.h"

namespace workpool::worker {
namespace {

constexpr Duration kAheadWork = milliseconds(1);
constexpr std::size_t kAheadMost = 64;
// Beyond all that was expected of the requests that were written ahead, on a busy machine, too.
constexpr Duration kPatience = milliseconds(50);
// Between two looks at a child that starts. Most have started after a few ms; one that takes long costs 50
// looks a second, each of which is a call of the system.
constexpr Duration kFirstPause = milliseconds(1);
constexpr Duration kLongestPause = milliseconds(20);
// A handler that writes to stderr now and then does it again soon.
constexpr std::uint32_t kQuietJobs = 256;

Outcome failure(const std::string& message) {
  Outcome outcome;
  outcome.status = Status::kFailed;
  outcome.kind = ErrorKind::kHandler;
  outcome.message = std::string(utf8_prefix(message, kErrorMessageBytesMax));
  return outcome;
}

}  // namespace

void HandlerTalk::begin() {
  CHECK(asked_.empty());
  starting_ = true;
  given_ = answered_ = 0;
  together_ = 0;
  window_ = 1;
  had_ = 0;
  quiet_jobs_ = kQuietJobs;
}

std::size_t HandlerTalk::room() const {
  const std::size_t window = quiet_jobs_ < kQuietJobs ? 1 : window_;
  std::size_t room = window > asked_.size() ? window - asked_.size() : 0;
  if (jobs_most_ != 0)
    room = std::min<std::size_t>(room, jobs_most_ - std::min<std::uint64_t>(given_, jobs_most_));
  return room;
}

void HandlerTalk::ask(StartAttempt&& attempt, std::uint64_t begins, Time now) {
  if (asked_.empty()) begin_turn(now);
  asked_.push_back({std::move(attempt), begins, false});
  ++given_;
}

void HandlerTalk::begin_turn(Time now) {
  since_ = looked_ = now;
  pause_ = kFirstPause;
  noticed_ = waited_ = Duration(0);
}

// Its job runs since the last look at which it had read nothing.
void HandlerTalk::note_read(std::uint64_t read, Time now) {
  if (!starting_) return;
  if (read > 0) {
    starting_ = false;
    waited_ = looked_ - since_;
    since_ = looked_;
    noticed_ = now - looked_;
  } else {
    looked_ = now;
    pause_ = std::min(pause_ * 2, kLongestPause);
  }
}

std::vector<HandlerTalk::Asked> HandlerTalk::take_unread(std::uint64_t read, bool and_first) {
  std::size_t kept = 0;
  while (kept < asked_.size() && (asked_[kept].begins < read || (kept == 0 && !and_first))) ++kept;
  std::vector<Asked> unread;
  for (std::size_t i = kept; i < asked_.size(); ++i) unread.push_back(std::move(asked_[i]));
  while (asked_.size() > kept) asked_.erase(asked_.size() - 1);
  given_ -= unread.size();
  window_ = 1;
  had_ = asked_.size();
  return unread;
}

Time HandlerTalk::impatient_at() const {
  return asked_.size() > std::max<std::size_t>(had_, 1) ? since_ + kPatience : kNever;
}

HandlerTalk::Heard HandlerTalk::hear(std::string_view line, std::uint64_t read,
                                     std::vector<AttemptEnded>& endings, std::string& fault) {
  if (asked_.empty()) return Heard::kSurplus;
  HandlerAnswer answer = reader_.read(line);
  if (auto* const wrong = std::get_if<AnswerFault>(&answer.says)) {
    fault = std::move(wrong->message);
    return Heard::kFault;
  }
  if (asked_.front().begins >= read) return Heard::kSurplus;
  const StartAttempt& attempt = asked_.front().attempt;
  if (!answer.id.empty()) {
    std::string id;
    append_json_string(id, attempt.order.full_id());
    // It may be written in another way, with escapes for all that is not ASCII.
    if (id != answer.id && json_string_value(answer.id, 0) != attempt.order.full_id()) {
      fault = "the handler's program answered " + printable(answer.id, kErrorMessageBytesMax / 8) +
              " when it was asked " + printable(id, kErrorMessageBytesMax / 8);
      return Heard::kFault;
    }
  }
  if (auto* const said = std::get_if<AnswerProgress>(&answer.says)) {
    progress_ = std::move(said->progress);
    return Heard::kProgress;
  }
  AttemptEnded ending;  // added when it is whole: there may be no memory for it
  ending.token = attempt.token;
  ending.waited = waited_;
  if (const auto* const value = std::get_if<AnswerValue>(&answer.says)) {
    ending.outcome.value = value->value;
  } else {
    ending.outcome = failure(std::get<AnswerError>(answer.says).message);
  }
  if (asked_.front().killed) {
    ending.how = AttemptEnd::kStopped;
    ending.outcome = {};
  }
  endings.push_back(std::move(ending));
  pop_first();
  ++answered_;
  ++together_;
  if (quiet_jobs_ < kQuietJobs) ++quiet_jobs_;
  return Heard::kAnswer;
}

void HandlerTalk::distrust_answers(std::vector<AttemptEnded>& endings, const std::string& fault) const {
  for (std::size_t i = endings.size() - together_; i < endings.size(); ++i) {
    if (endings[i].how != AttemptEnd::kOutcome) continue;
    Outcome failed = failure(fault);
    failed.command = std::move(endings[i].outcome.command);
    endings[i].outcome = std::move(failed);
  }
}

void HandlerTalk::lines_over(Time now, std::vector<AttemptEnded>& endings) {
  if (together_ == 0) return;
  const Duration each = (now - since_) / static_cast<Duration::rep>(together_);
  for (std::size_t i = endings.size() - together_; i < endings.size(); ++i) endings[i].ran = each;
  // The first answer of a child tells how long it takes to start, not how long its jobs take.
  if (answered_ > together_) {
    // A long one counts at once, a short one with an eighth: what waits behind a long job waits for nothing.
    mean_ = each > mean_ ? each : mean_ + (each - mean_) / 8;
    const auto fitting = static_cast<std::size_t>(kAheadWork / std::max(mean_, Duration{1}));
    window_ = std::clamp<std::size_t>(fitting, 1, std::min(kAheadMost, window_ * 2));
  }
  together_ = 0;
  begin_turn(now);
}

Time HandlerTalk::due() const {
  if (asked_.empty()) return kNever;
  const Duration timeout = asked_.front().attempt.order.timeout;
  if (starting_) return since_ + handler_start_most(timeout, start_most_);
  return timeout <= Duration(0) ? kNever : since_ + noticed_ + timeout;
}

HandlerTalk::Where HandlerTalk::find(std::uint64_t token) const {
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (asked_[i].attempt.token == token) return i == 0 ? Where::kFirst : Where::kBehind;
  }
  return Where::kNowhere;
}

HandlerTalk::Where HandlerTalk::kill(std::uint64_t token) {
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (asked_[i].attempt.token == token) asked_[i].killed = true;
  }
  return find(token);
}

void HandlerTalk::pop_first() {
  asked_.pop_front();
  if (had_ > 0) --had_;
}

std::optional<HandlerTalk::Asked> HandlerTalk::take_first() {
  if (asked_.empty()) return std::nullopt;
  Asked first = std::move(asked_.front());
  pop_first();
  return first;
}

std::string handler_end_text(int exit_status, int by_signal) {
  if (by_signal == 0) return "the handler's program exited with status " + std::to_string(exit_status);
  std::string text = "the handler's program was ended by signal " + std::to_string(by_signal);
  if (const char* const name = ::sigabbrev_np(by_signal)) text += std::string(" (SIG") + name + ')';
  return text;
}

}  // namespace workpool::worker
