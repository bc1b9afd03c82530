// SPDX-License-Identifier: MIT
// A requirement class: all jobs that ask the same of a worker. It knows which of its jobs are ready, how long
// they run, and how many sessions fit it, so that placement need only look at classes that have work and
// somebody to do it. RequirementClasses is the table of them, by number.
//
// Classes of a jobs file stay for the whole run, since the index knows them by their number. Those of jobs
// that arrive one by one end with their last job, and their number is used again: new labels may come
// forever.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/check.h"
#include "common/base/job.h"
#include "common/base/time.h"
#include "dispatcher/core/limits.h"
#include "dispatcher/core/ready_queue.h"
#include "dispatcher/core/resources.h"
#include "dispatcher/core/streak.h"

namespace workpool::dispatcher {

// How long jobs of one class run: an exponential mean over about the last sixteen.
class RunTime {
 public:
  // `wider`: what is known of more jobs. It learns of those here, and counts while nothing else is known.
  explicit RunTime(std::shared_ptr<RunTime> wider = nullptr) : wider_(std::move(wider)) {}

  void ok(Duration ran);
  // Failures count only until the first ok job, and as 200 us at the least: a command that cannot be started
  // says nothing about one that can.
  void failed(Duration ran);
  // At least one microsecond, so that it can be divided by. Returns nullopt while nothing is known.
  std::optional<Duration> mean() const;
  // How long before its end a job that ran for so long was at its work for certain, as far as the wider ones
  // tell: what it took longer than half of them may have been a wait, for a program that starts or a busy
  // machine. 0 if it took unusually long, and while few have run.
  Duration worked(Duration ran) const;

 private:
  void train(Duration measured);

  // Sixteen times the mean: in whole microseconds that of tiny jobs could neither rise nor fall to them. 0 if
  // nothing is known.
  Duration sixteen_{0};
  Duration median_{0};  // about: each job moves it by a small step. 0 as above
  bool only_failures_ = true;
  std::uint32_t trained_ = 0;  // so many jobs, at most kUsualFrom
  std::shared_ptr<RunTime> wider_;
};

class RequirementClass {
 public:
  // `shared`: of more jobs than these, of which the same is expected; may be null.
  RequirementClass(const Requirement& requirement, const std::shared_ptr<RunTime>& shared)
      : run_time(shared), requirement_(requirement), needs_{requirement.slots} {}

  const Requirement& requirement() const { return requirement_; }
  const Resources& needs() const { return needs_; }
  // Different for each class that ever had its number.
  std::uint64_t serial() const { return serial_; }

  // The queue of its jobs that are ready, or whose line is to be read again (not `loaded`); those that must
  // run alone wait in queues of their own.
  ReadyQueue& queue(bool loaded, bool alone) { return queues_[loaded ? 0 : 1][alone ? 1 : 0]; }
  const ReadyQueue& queue(bool loaded, bool alone) const { return queues_[loaded ? 0 : 1][alone ? 1 : 0]; }
  const ReadyQueue& ready() const { return queue(true, false); }
  const ReadyQueue& waiting() const { return queue(false, false); }

  // Jobs whose line is being read.
  void start_loading(const QueueRank& rank);
  void end_loading() { --loading_; }
  std::size_t loading() const { return loading_; }
  // The best rank of those, or a better one. Returns nullopt if there are none.
  std::optional<QueueRank> loading_rank() const;

  // Open jobs that have left the backlog, whatever their state.
  void add_job() { ++jobs_; }
  void remove_job() { --jobs_; }
  std::uint64_t jobs() const { return jobs_; }

  RunTime run_time;
  EndCounts ended;  // of its attempts, as far as they count

 private:
  friend class RequirementClasses;
  Requirement requirement_;
  Resources needs_;
  ReadyQueue queues_[2][2];
  std::size_t loading_ = 0;
  QueueRank loading_best_;  // since it was 0 last
  std::uint64_t jobs_ = 0;
  std::uint64_t serial_ = 0;
  std::uint32_t fitting_ = 0;
  std::uint32_t registered_ = 0;
  bool of_file_ = false;
  bool changed_ = false;
};

class RequirementClasses {
 public:
  // Those of the jobs file, by the numbers that its index has given them.
  explicit RequirementClasses(const std::vector<Requirement>& of_file);

  // The class of a job that arrives, which may be a new one.
  std::uint32_t number_of(const Requirement& requirement);
  // Every number is below this; `used` tells which of them are those of a class now.
  std::uint32_t size() const { return static_cast<std::uint32_t>(classes_.size()); }
  bool used(std::uint32_t number) const { return number < size() && classes_[number] != nullptr; }
  const RequirementClass& at(std::uint32_t number) const { return *classes_[number]; }
  // To change it: placement will look at it again.
  RequirementClass& change(std::uint32_t number) {
    CHECK(used(number));
    RequirementClass& group = *classes_[number];
    if (!group.changed_) mark_changed(number);
    return group;
  }

  // ---- for the sessions that may run its jobs ----
  // A session that fits the class starts or stops taking work; or it registers, or is closed.
  void takes_work(std::uint32_t number, bool starts);
  void registers(std::uint32_t number, bool comes);
  // How many sessions that take work fit it; and how many that are registered, whatever they do.
  std::uint32_t fitting(std::uint32_t number) const { return classes_[number]->fitting_; }
  std::uint32_t registered(std::uint32_t number) const { return classes_[number]->registered_; }
  // How often a session registered that fits a class which none fitted before.
  std::uint64_t newly_met() const { return newly_met_; }

  // Since the last call: those that have changed, each once; and those that are new. In the order in which
  // that happened.
  std::vector<std::uint32_t> take_changed();
  std::vector<std::uint32_t> take_new();
  // Which of them may hand out a job now. The classes here are the ones that it knows.
  Limits& limits() { return limits_; }
  const Limits& limits() const { return limits_; }

  bool any_changed() const { return !changed_.empty() || !new_.empty(); }

  // The class is freed with its last job. False, and nothing is done, if it still has one, or is one of the
  // file.
  bool free_unused(std::uint32_t number);

 private:
  std::uint32_t add(const Requirement& requirement);
  std::shared_ptr<RunTime> run_time_of(const Requirement& requirement);
  void mark_changed(std::uint32_t number);

  std::vector<std::unique_ptr<RequirementClass>> classes_;  // nullptr: the number is free
  RequirementMap<std::uint32_t> numbers_;                   // of those that are not the file's
  Limits limits_;
  // Of all classes that share it (shared_by).
  std::unordered_map<std::string, std::shared_ptr<RunTime>> shared_times_;
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> changed_;
  std::vector<std::uint32_t> new_;
  std::uint64_t newly_met_ = 0;
  std::uint64_t serials_ = 0;
};

}  // namespace workpool::dispatcher
