// SPDX-License-Identifier: MIT
// The dispatcher's books of its jobs: the backlog (JobIndex), the open jobs (JobTable), their queues by
// requirement (RequirementClasses), and the backoffs. Every change of a job's state goes through here, so
// that the counts are right by construction. Decides nothing about workers.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/job.h"
#include "dispatcher/core/facts.h"
#include "dispatcher/core/job_index.h"
#include "dispatcher/core/job_table.h"
#include "dispatcher/core/ready_queue.h"
#include "dispatcher/core/requirement_class.h"

namespace workpool::dispatcher {

class JobBook {
 public:
  static constexpr std::size_t kLoadMost = 1024;  // jobs in one Load

  // `index` is sealed, with its queues open, and `classes` has those of it; both outlive the book.
  JobBook(JobIndex& index, RequirementClasses& classes, std::uint32_t crash_limit);

  ActiveJob& at(JobRow row) { return table_.at(row); }
  const ActiveJob& at(JobRow row) const { return table_.at(row); }
  Handle handle(JobRow row) const { return table_.handle(row); }
  std::optional<JobRow> find(Handle handle) const { return table_.find(handle); }
  // The open job with this key and spec. If it was in the backlog, it is taken out (state Loading, and a Load
  // for it in `load`). Returns nullopt if it is recorded already, unknown, or of another spec.
  std::optional<JobRow> find(const Key& key, const Spec& spec, Load& load);

  // ---- backlog -> Loaded ----
  // Jobs of this requirement whose lines are still to be asked for.
  std::uint64_t unread(std::uint32_t requirement) const;
  // Asks for lines of this requirement until `want` of its jobs are ready or under way. Returns false if it
  // stopped before that: the load is full, or too many bytes are ready.
  bool fetch(std::uint32_t requirement, std::size_t want, Load& load);
  // Asks for the lines of those that must run alone: there are few, and each may be given out at any time.
  void fetch_alone(Load& load);
  // The answer to a Load. Returns the job's row; nullopt if it is no longer open.
  std::optional<JobRow> loaded(LoadedJob&& job, Time now);
  // A job that was never in the backlog; this is the only copy of its payload. REQUIRES: no open job has its
  // key.
  void arrived(LoadedJob&& job, Time now);
  // The job with this key, among those that have left the backlog.
  std::optional<JobRow> find_active(const Key& key) const { return table_.find(key); }

  // ---- from a worker, or from a backoff, back to the queue ----
  void requeue(JobRow row, Time now, Duration delay);
  void wake_due(Time now);
  std::optional<Time> next_wake() const;

  // ---- to a worker ----
  // Takes it out of whatever state it is in. Its work is moved out; an only copy stays here too.
  SharedBytes assign(JobRow row);
  // The best ready job of a requirement that need not run alone, and of those that must.
  std::optional<Front> front(std::uint32_t requirement) const;
  std::optional<JobRow> front_alone(std::uint32_t requirement) const;
  // The requirements with ready jobs that must run alone, the one with the best of them first.
  std::vector<std::uint32_t> alone_requirements() const;
  // Jobs of the requirement that nothing but a worker keeps from running, whether or not their line is here.
  std::uint64_t waiting(std::uint32_t requirement) const;
  std::size_t ready(std::uint32_t requirement) const { return classes_.at(requirement).ready().size(); }
  // The rank of the best job of a requirement whose jobs are all still to be read, or a better one; nullopt
  // if one is ready, or if none is left.
  std::optional<QueueRank> unread_rank(std::uint32_t requirement) const;
  // Either of these. Returns nullopt if none of its jobs waits for a worker.
  std::optional<QueueRank> head_rank(std::uint32_t requirement) const;

  // It is recorded: the row is free again.
  void finish(JobRow row);
  // A job of the backlog that was recorded is open again, as after that attempt. REQUIRES: no open job has
  // its key.
  JobRow reopen(JobFacts&& facts, std::uint32_t attempt, Time now);

  // ---- jobs that wait for another worker than those they failed on (Trouble::choosy) ----
  struct Before {
    bool operator()(const Front& left, const Front& right) const {
      return left.rank.before(right.rank) || (!right.rank.before(left.rank) && left.row < right.row);
    }
  };
  // Those that are ready, the best first.
  const std::set<Front, Before>& choosy() const { return choosy_[0]; }
  // Asks for the lines of those whose payload is not here.
  void fetch_choosy(Load& load);
  // From now on it waits for such a worker whenever it is ready, or it takes whichever comes.
  void set_choosy(JobRow row, bool choosy);

  bool must_run_alone(const ActiveJob& job) const;
  // A death named the job, or it may have caused one. From some number of deaths on, a ready job moves to the
  // queue of those that must run alone.
  void name_in_death(JobRow row);
  void count_loss(JobRow row);

  const RequirementClasses& classes() const { return classes_; }
  const Requirement& requirement(std::uint32_t number) const { return classes_.at(number).requirement(); }
  // Frees the number of a class of jobs that arrived, once the last of them is gone. Returns false if it is
  // still needed.
  bool free_class(std::uint32_t requirement);
  // Jobs not yet recorded, of one requirement and of all.
  std::uint64_t open(std::uint32_t requirement) const;
  std::uint64_t open() const { return index_.open() + table_.size(); }
  std::size_t assigned() const { return assigned_; }
  std::size_t delayed() const { return backoffs_.size(); }
  // Every row that may be in use; `used` tells.
  JobRow rows() const { return table_.rows(); }
  bool used(JobRow row) const { return table_.used(row); }

  // For the credit of this requirement.
  void note_ok(std::uint32_t requirement, Duration ran);
  void note_not_ok(std::uint32_t requirement, Status status, Duration ran);
  // Returns nullopt while no run time is known.
  std::optional<Duration> mean_run_time(std::uint32_t requirement) const {
    return classes_.at(requirement).run_time.mean();
  }

 private:
  struct Asked {
    Handle handle;
    JobNumber number = 0;
  };

  RequirementClass& class_of(const ActiveJob& job) { return classes_.change(job.facts.requirement); }
  JobRow take_from_backlog(JobNumber number);
  void ask(JobRow row, Load& load);
  void start_loading(JobRow row, Load& load);
  void leave_state(JobRow row);
  void make_ready(JobRow row, SharedBytes&& work);
  void queue_up(JobRow row);
  void leave_queue(JobRow row);
  ReadyQueue& queue_of(const ActiveJob& job);
  bool is_choosy(const ActiveJob& job) const { return job.trouble().choosy && !must_run_alone(job); }
  void change_blame(JobRow row, std::uint32_t named, std::uint32_t lost);

  JobIndex& index_;
  RequirementClasses& classes_;
  std::uint32_t crash_limit_;
  JobTable table_;
  mutable std::set<std::uint32_t> with_alone_;  // requirements that may have jobs which must run alone
  std::set<Front, Before> choosy_[2];           // that are ready, and those whose line is to be read again
  std::deque<Asked> asked_;                     // Loads under way, in order
  std::set<std::pair<Time, JobRow>> backoffs_;
  std::size_t assigned_ = 0;
  std::uint64_t ready_bytes_ = 0;
};

}  // namespace workpool::dispatcher
