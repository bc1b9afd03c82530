// SPDX-License-Identifier: MIT
// The failures of one session that came one after the other, each within a second, with nothing else between
// them. It is what benching is judged by (bench.h). Pure data.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/outcome.h"
#include "common/base/time.h"
#include "dispatcher/core/job_facts.h"

namespace workpool::dispatcher {

// How attempts of one requirement have ended.
struct EndCounts {
  std::uint64_t ok = 0;
  std::uint64_t not_ok = 0;
};

// A failure that is on record and may be withdrawn.
struct RecordedFailure {
  JobFacts facts;
  std::uint32_t attempt = 0;  // the last one given
  Status status = Status::kFailed;
  ErrorKind kind = ErrorKind::kNone;
  std::string message;  // its beginning
};

class Streak {
 public:
  // What has ended is counted by requirement. So many of them are; failures of others support no judgement.
  static constexpr std::size_t kClassesMost = 8;
  struct OfClass {
    std::uint32_t requirement = 0;
    std::uint64_t serial = 0;  // RequirementClass::serial
    EndCounts before;          // everywhere, when this streak had its first failure of it
    std::uint64_t failed = 0;  // of this streak
  };

  // `kept`: how many recorded failures all streaks of the run keep.
  Streak(Time begin, std::shared_ptr<std::size_t> kept) : since(begin), kept_(std::move(kept)) {}
  Streak(const Streak&) = delete;
  Streak& operator=(const Streak&) = delete;
  ~Streak() { *kept_ -= recorded_.size(); }

  const Time since;
  std::uint64_t failed = 0;
  std::vector<OfClass> classes;
  std::string message;  // of the last failure
  bool proven = false;  // a job that failed in it was ok elsewhere
  // One of its failures runs again elsewhere, and the session gets nothing until that has ended.
  bool on_trial = false;
  Time trial_began;

  // The oldest is forgotten if there are `most` in the run.
  void keep(RecordedFailure&& failure, std::size_t most) {
    if (*kept_ >= most && recorded_.empty()) return;
    if (*kept_ >= most) {
      recorded_.pop_front();
      --*kept_;
    }
    recorded_.push_back(std::move(failure));
    ++*kept_;
  }
  bool keeps_any() const { return !recorded_.empty(); }
  // The newest one. REQUIRES: it keeps one.
  RecordedFailure take_newest() {
    RecordedFailure newest = std::move(recorded_.back());
    recorded_.pop_back();
    --*kept_;
    return newest;
  }

 private:
  std::shared_ptr<std::size_t> kept_;
  std::deque<RecordedFailure> recorded_;
};

}  // namespace workpool::dispatcher
