// SPDX-License-Identifier: MIT
// The talk with one child of a handler: what it has been asked and not answered, how many requests to write
// ahead, and whose turn it is. Children answer in order, so the first unanswered request is the one it works
// on: its time counts, and it is blamed if the child ends. The others have not begun.
//
//   asked ──> behind ──> first ──> answered
//     │          │         └─> child gone: blamed, unless it had read nothing of it
//     │          └─> child gone: to be asked again
//     └─> taken back, if the child had read nothing of it
//
// A child starts until it has read something, and that may take long: a model is loaded, a library imported.
// The timeout of its first job counts from then. Nothing reports it, so we look, less and less often.
//
// A request is written ahead only while jobs are so short that all of them together are about 1 ms of work:
// then a child need not wait for us between two of them. Pure; one thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/handler_start.h"
#include "common/base/ring.h"
#include "common/base/time.h"
#include "worker/core/facts.h"
#include "worker/core/handler_answer.h"

namespace workpool::worker {

class HandlerTalk {
 public:
  struct Asked {
    StartAttempt attempt;
    std::uint64_t begins = 0;  // the place of its request in all that was written to the child
    bool killed = false;       // by a KillAttempt while it was behind
  };
  enum class Heard : std::uint8_t {
    kAnswer,    // an ending was added
    kProgress,  // of the first request: take_progress()
    kFault,     // `fault` says what is wrong with the line; nobody knows what the child does now
    kSurplus,   // an answer, but nothing was asked, or the child cannot know of it yet
  };
  enum class Where : std::uint8_t { kNowhere, kFirst, kBehind };

  // `jobs_most`: that one child is asked; 0 = no limit. `start_most`: how long a child may read nothing.
  explicit HandlerTalk(std::uint32_t jobs_most, Duration start_most = kHandlerStartMost)
      : jobs_most_(jobs_most), start_most_(start_most) {}

  // A new child, which starts. REQUIRES: nothing is asked.
  void begin();
  // How many more requests it may be given now.
  std::size_t room() const;
  // A request was written; it `begins` there in all that was written to this child.
  void ask(StartAttempt&& attempt, std::uint64_t begins, Time now);
  // Takes back the requests of which the child, which has `read` so much, has read nothing, with `and_first`
  // also that whose turn it is. In their order. For a while no more are written ahead.
  std::vector<Asked> take_unread(std::uint64_t read, bool and_first);
  // When what is behind the first one has waited for so long that others should have it; kNever if nothing
  // is, or if it could not be taken back.
  Time impatient_at() const;

  // The child has `read` so much.
  void note_read(std::uint64_t read, Time now);
  bool is_starting() const { return starting_; }
  // When to look again whether the child still starts; kNever if it does not, or if nothing is asked.
  Time look_at() const { return starting_ && !is_idle() ? looked_ + pause_ : kNever; }

  // A line of the child, without its newline, which had `read` so much when the line was here. Adds at most
  // one ending. After the lines that were read together comes a lines_over().
  Heard hear(std::string_view line, std::uint64_t read, std::vector<AttemptEnded>& endings,
             std::string& fault);
  Progress take_progress() { return std::move(progress_); }
  // There was one answer too many: nobody knows which of those that came together belong to their requests.
  // They fail with `fault`.
  void distrust_answers(std::vector<AttemptEnded>& endings, const std::string& fault) const;
  // Shares the time out among the answers that came together: the last ones of `endings`.
  void lines_over(Time now, std::vector<AttemptEnded>& endings);
  // The child wrote to its stderr during a job. To say whose it is, jobs are asked one by one for a while.
  void note_stderr() { quiet_jobs_ = 0; }

  bool is_idle() const { return asked_.empty(); }
  // REQUIRES of these: not idle.
  const Asked& first() const { return asked_.front(); }
  // The child, which has `read` so much, has answered before and does not know of the first request yet: what
  // it says or does has nothing to do with that.
  bool is_between_jobs(std::uint64_t read) const { return answered_ > 0 && asked_.front().begins >= read; }
  Time since() const { return since_; }        // when its turn came, or its child had started
  Duration waited() const { return waited_; }  // for that
  // When its timeout is over, or, while the child starts, the longest start; kNever without a timeout, or if
  // nothing is asked.
  Time due() const;

  Where find(std::uint64_t token) const;
  // It was to be ended: where it is. If behind, it is marked, and `first().killed` holds once its turn comes.
  Where kill(std::uint64_t token);
  // The child is gone, or will answer nothing any more. nullopt if nothing is asked.
  std::optional<Asked> take_first();

  std::size_t asked() const { return asked_.size(); }
  bool has_answered() const { return answered_ > 0; }  // this child
  // It has had all the jobs it may have.
  bool is_spent() const { return jobs_most_ != 0 && given_ >= jobs_most_; }
  // Nothing ran here for `pause`.
  void move_timers(Duration pause) {
    since_ += pause;
    looked_ += pause;
  }

 private:
  void begin_turn(Time now);
  void pop_first();

  const std::uint32_t jobs_most_;
  const Duration start_most_;
  HandlerAnswerReader reader_;
  Ring<Asked> asked_;
  Time since_{};
  bool starting_ = true;
  Duration waited_{0};       // of the first request, for the start
  Time looked_{};            // at which it had read nothing, the last time
  Duration pause_{0};        // until the next look
  Duration noticed_{0};      // how late we may have seen that it had started; no timeout is shorter by that
  std::uint64_t given_ = 0;  // to this child
  std::uint64_t answered_ = 0;  // by it
  Progress progress_{};         // of the last line, if it was one
  std::size_t together_ = 0;    // answers since the last lines_over()
  Duration mean_{0};            // of a job; 0 = not known
  std::size_t window_ = 1;      // requests, the first one counted
  std::size_t had_ = 0;         // so many of asked_ the child was found to have read
  std::uint32_t quiet_jobs_;    // in a row without a word on stderr
};

// How the child ended, for people: its exit status, or the signal that ended it (0: none did).
std::string handler_end_text(int exit_status, int by_signal);

// Counts the jobs that children died of before they had answered anything, with no answer of the handler on
// this worker in between. A job that is tried again and again counts once: it may be its own fault. Pure; the
// caller locks.
class HandlerDeaths {
 public:
  // So many say that the handler does not work on this worker.
  static constexpr std::size_t kMost = 3;

  // Of `key`. Returns true, once, if this was one too many.
  bool died(const Key& key) {
    if (keys_.size() >= kMost || std::find(keys_.begin(), keys_.end(), key) != keys_.end()) return false;
    keys_.push_back(key);
    return keys_.size() == kMost;
  }
  void answered() {
    if (keys_.size() < kMost) keys_.clear();
  }

 private:
  std::vector<Key> keys_;
};

}  // namespace workpool::worker
